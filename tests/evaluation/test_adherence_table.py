from __future__ import annotations

import io

import pytest
from rich.console import Console

from charter.evaluation.rates.adherence import Gate, PrincipleInfo, adherence
from charter.evaluation.rates.card import AdherenceCard
from charter.evaluation.rates.table import print_table
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget

INFOS = [
    PrincipleInfo("style.brevity", "Be brief", "user", "s1"),
    PrincipleInfo("honesty.identity", "Say what you are", "root", "s2"),
]


def card(paired: bool = True) -> AdherenceCard:
    def side(passing: int) -> list[Group]:
        sample = Sample(Context("q"), Completion("a"))
        return [
            Group(
                (sample,),
                (
                    Judgement(SampleTarget(0), value=float(i < passing), principle="style.brevity"),
                    Judgement(
                        SampleTarget(0),
                        verdict="not_measured",
                        principle="honesty.identity",
                        reason="no judge",
                    ),
                ),
                id=str(i),
            )
            for i in range(50)
        ]

    return adherence(side(40), INFOS, before=side(10) if paired else None, gates=[Gate("user", 0.5)])


def printed(width: int, *, terminal: bool = False, paired: bool = True) -> str:
    out = io.StringIO()
    print_table(card(paired), Console(file=out, width=width, force_terminal=terminal))
    return out.getvalue()


def test_wide_table_holds_every_number() -> None:
    text = printed(140)
    for words in (
        "style.brevity",
        "20% [11%, 33%]",
        "80% [67%, 89%]",
        "+60",
        "rose",
        "not measured",
        "before [95%]",
    ):
        assert words in text
    assert "honesty.identity: not measured. No judge." in text
    assert "gate user: pass." in text
    assert text.isascii() and "\x1b" not in text


@pytest.mark.parametrize("width", [100, 80, 40])
def test_narrow_terminals_lose_nothing(width: int) -> None:
    text = printed(width, terminal=True)
    assert "…" not in text
    for words in ("style.brevity", "20% [11%, 33%]", "80% [67%, 89%]", "not measured", "all principles"):
        assert words in text


def test_plain_when_not_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(card())
    text = capsys.readouterr().out
    assert "20% [11%, 33%]" in text and "…" not in text
    assert text.isascii() and "\x1b" not in text


def test_one_model_alone() -> None:
    text = printed(140, paired=False)
    assert "rate [95%]" in text
    assert "change" not in text
    assert "no baseline" in text
