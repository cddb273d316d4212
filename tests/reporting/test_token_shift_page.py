"""The page of a token shift: complete, escaped, and clear about what is missing."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from charter.errors import UserError
from charter.reporting.node import Node
from charter.reporting.token_shift import JSON, render_token_shift, shown, write_token_shift
from charter.rundir import write_json


def share(rate: float, lo: float | None = None, hi: float | None = None) -> dict[str, Any]:
    return {"rate": rate, "count": 3, "n": 10, "lo": lo, "hi": hi}


STRETCH = {
    "first": 1,
    "last": None,
    "n": 10,
    "kl": 0.25,
    "unshifted": share(0.7, 0.6, 0.8),
    "marginal": share(0.2, 0.1, 0.3),
    "shifted": share(0.1, 0.05, 0.15),
}
REPORT: dict[str, Any] = {
    "base": "before",
    "aligned": "<b>after</b>",
    "framed": "urial",
    "created": "2025-01-02T03:04:05Z",
    "prompts": 4,
    "tokens": 10,
    "not_greedy": 0.0,
    "overall": STRETCH,
    "by_position": [{**STRETCH, "last": 1, "shifted": share(0.1)}, {**STRETCH, "first": 2, "last": 5}],
    "words": [{"token": " Sure\n", "shifted": 3, "n": 4, "instead": "<s>"}],
    "examples": [
        {
            "id": "a",
            "prompt": "<script>alert(1)</script>",
            "tokens": [
                {"text": "I", "rank": 1, "instead": "I", "kind": "unshifted"},
                {"text": "<i>", "rank": 2, "instead": "am", "kind": "marginal"},
                {"text": "\n\n", "rank": 3, "instead": "x", "kind": "marginal"},
                {"text": "\n", "rank": 1, "instead": "\n", "kind": "unshifted"},
                {"text": " no", "rank": 40, "instead": '"', "kind": "shifted"},
            ],
        }
    ],
}


class Balanced(HTMLParser):
    """Every element that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br", "rect", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line", "circle"):
            assert self.open.pop() == tag


def page(**changes: Any) -> str:
    return render_token_shift(Node({**copy.deepcopy(REPORT), **changes}, "token_shift.json"))


def test_the_page_says_what_was_found() -> None:
    text = page()
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert "At 70% of 10 tokens the base model would have said the same" in text
    assert "at 10% (5% to 15%) the aligned model" in text
    assert "token 1<" in text and "tokens 2 to 5<" in text
    assert "␣Sure⏎" in text
    assert "<script" not in text and "&lt;script&gt;" in text and "&lt;b&gt;after" in text
    assert (
        '<span class="marginal" title="rank 2 for the base model, which would say am">&lt;i&gt;</span>'
        in text
    )
    assert 'class="shifted" title="rank 40' in text
    assert 'would say x">⏎⏎\n\n</span>\n<span' in text  # a marked line break is seen, another is just made
    assert page() == text


def test_a_bar_is_whole() -> None:
    bars = re.findall(r'<svg class="shiftbar".*?</svg>', page())
    assert len(bars) == 3
    for bar in bars:
        assert sum(float(width) for width in re.findall(r'width="([\d.]+)%"', bar)) == pytest.approx(100)
        assert "unshifted 70%" in bar and 'role="img"' in bar


def test_what_is_missing_is_not_drawn() -> None:
    text = page(words=[], examples=[], by_position=[], framed="")
    assert "No token was shifted more than once" in text
    assert 'id="answers"' not in text and "under <b>" not in text


def test_answers_that_are_not_greedy_are_flagged() -> None:
    assert "these are not its greedy answers" in page(not_greedy=0.4)
    assert "not its greedy answers" not in page(not_greedy=0.01)


def test_what_cannot_be_seen_is_shown() -> None:
    assert (shown(" a\n"), shown(""), shown("\t")) == ("␣a⏎", "(empty)", "⇥")


def test_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        write_token_shift(tmp_path)
    write_json(tmp_path / JSON, REPORT)
    assert write_token_shift(tmp_path).read_text(encoding="utf-8") == page()
    broken = copy.deepcopy(REPORT)
    broken["examples"][0]["tokens"][0]["kind"] = "odd"
    write_json(tmp_path / JSON, broken)
    with pytest.raises(UserError, match="no kind of token 'odd'"):
        write_token_shift(tmp_path)
    write_json(tmp_path / JSON, {**REPORT, "overall": None})
    with pytest.raises(UserError, match="overall"):
        write_token_shift(tmp_path)
