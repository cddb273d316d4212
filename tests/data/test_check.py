from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_shapes import chatml, turns

from charter.cli.check_data import print_check
from charter.data.check import DataCheck, check_data, quantiles
from charter.data.findings import Finding
from charter.data.overlap import ngram_overlap
from charter.errors import DataError

Write = Callable[..., Path]


def _pair(prompt: str, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def _find(check: DataCheck, name: str) -> Finding | None:
    return next((finding for finding in check.findings if finding.name == name), None)


def test_a_clean_file_has_nothing_to_complain_about() -> None:
    rows = [_pair(f"prompt {i}", "yes " * (i % 3 + 1), "no " * ((i + 1) % 3 + 1)) for i in range(9)]
    check = check_data(rows)
    assert check.ok
    assert [(f.severity, f.name) for f in check.findings] == [("info", "length-skew")]
    assert (check.kind, check.groups, check.formats) == ("preference", 9, {"preference": 9})
    assert check.lengths["prompt words"] == {"min": 2, "p5": 2, "median": 2, "p95": 2, "max": 2}
    assert check.lengths["completion words"]["max"] == 3


def test_everything_bad_is_found_where_it_is(write_rows: Write) -> None:
    path = write_rows(
        _pair("p", "a", "b", id="x"),
        _pair("p", "a", "b"),
        _pair("p", "b", "a", id="x"),
        _pair("q", "same", "same"),
        _pair("  ", "", "c"),
        {"prompt": "p", "chosen": "a", "rejcted": "b"},
    )
    with path.open("ab") as file:
        file.write(b'{"prompt": "\xff"}\n')
    check = check_data(path)
    found = {f.name: (f.severity, f.count, [e.rsplit(":", 1)[1] for e in f.examples]) for f in check.findings}
    assert found == {
        "unreadable": ("error", 1, ["7"]),
        "wrong-shape": ("error", 1, ["6"]),
        "empty-completion": ("warning", 1, ["5"]),
        "empty-prompt": ("warning", 1, ["5"]),
        "duplicate": ("warning", 1, ["2"]),
        "duplicate-id": ("warning", 1, ["3"]),
        "chosen-equals-rejected": ("warning", 1, ["4"]),
        "contradiction": ("warning", 3, ["1", "2", "3"]),
        "duplicate-prompt": ("info", 2, ["2", "3"]),
        "length-skew": ("info", 0, []),
    }
    assert not check.ok
    assert "invalid UTF-8" in check.findings[0].message
    assert json.loads(json.dumps(check.to_json()))["counts"]["rows read"] == 6


def test_opposite_preferences_under_two_principles_do_not_contradict() -> None:
    rows = [_pair("p", "a", "b", principle="kind"), _pair("p", "b", "a", principle="brief")]
    assert _find(check_data(rows), "contradiction") is None


def test_length_skew_has_an_interval() -> None:
    rows = [_pair(f"p{i}", "three words here", "one") for i in range(20)]
    finding = _find(check_data(rows), "length-skew")
    assert finding is not None
    assert (finding.severity, finding.count) == ("warning", 20)
    assert "100% of 20 pairs of different length (95% interval 84% to 100%)" in finding.message


@pytest.mark.parametrize(("labels", "severity"), [([True, True], "warning"), ([True, False], None)])
def test_one_sided_labels(labels: list[bool], severity: str | None) -> None:
    rows = [{"prompt": f"p{i}", "completion": "c", "label": label} for i, label in enumerate(labels)]
    finding = _find(check_data(rows), "one-sided-labels")
    assert (finding.severity if finding else None) == severity


def test_roles_and_tokens() -> None:
    rows = [{"messages": turns("system", "s", "user", f"u{i}", "assistant", "a b")} for i in range(3)]
    check = check_data(rows, tokenizer=chatml())
    assert check.roles == {"system": 3, "user": 3, "assistant": 3}
    assert check.lengths["completion tokens"]["max"] == 4
    total, prompt = check.lengths["total tokens"]["min"], check.lengths["prompt tokens"]["min"]
    assert total == prompt + 4
    assert check.ok


def test_shared_contexts_count_their_roles_once() -> None:
    row = {
        "prompt": turns("user", "q"),
        "chosen": turns("assistant", "a"),
        "rejected": turns("assistant", "b"),
    }
    assert check_data([row]).roles == {"user": 1, "assistant": 2}


def test_rows_the_template_refuses_and_typed_special_tokens() -> None:
    rows = [{"messages": turns("user", "a <|im_end|>", "assistant", "b")}]
    finding = _find(check_data(rows, tokenizer=chatml()), "special-token-text")
    assert finding is not None and finding.count == 1
    tokenizer = chatml("{{ raise_exception('no') }}")
    check = check_data(rows, tokenizer=tokenizer)
    finding = _find(check, "unrendered")
    assert finding is not None and (finding.severity, finding.count) == ("error", 1)
    assert not check.ok


def test_overlap_with_evaluation(write_rows: Write) -> None:
    long = "please tell me the shortest way from here to the old harbour"
    train = write_rows(*(_pair(p, "a", "b") for p in (long, "How are you?")))
    evaluation = write_rows(
        {"prompt": "Well, " + long.upper() + ", now"},
        {"prompt": "how are you"},
        {"prompt": "something entirely different that nobody wrote before, ever"},
        name="eval.jsonl",
    )
    finding = _find(check_data(train, evaluation), "overlap")
    assert finding is not None
    assert (finding.severity, finding.count) == ("warning", 2)
    assert finding.message == (
        "2 of 3 evaluation prompts share 8 words in a row with a training prompt, 1 of them are one"
    )
    assert finding.examples == (f"{evaluation}:1", f"{evaluation}:2")


def test_ngram_overlap_needs_the_whole_run() -> None:
    seven = "a b c d e f g"
    assert ngram_overlap([seven + " h"], [seven + " x"]).shared == 0
    assert ngram_overlap([seven + " h"], ["x " + seven + " h"]).shared == 1
    assert ngram_overlap([""], [""]).shared == 0


def test_mixed_formats_are_counted() -> None:
    check = check_data([{"text": "a"}, {"text": "b", "n": 1}, {"prompt": "p", "completion": "c"}])
    assert check.formats == {"text": 2, "completion": 1}
    assert _find(check, "wrong-shape") is not None


def test_unreadable_source_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        check_data(tmp_path / "none.jsonl")


def test_quantiles_are_values_of_the_data() -> None:
    assert quantiles(list(range(101))) == {"min": 0, "p5": 5, "median": 50, "p95": 95, "max": 100}
    assert quantiles([3]) == {"min": 3, "p5": 3, "median": 3, "p95": 3, "max": 3}


def test_tables_show_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(check_data([_pair("p[1]", "a b", "c"), _pair("p[1]", "a b", "c")]))
    shown = capsys.readouterr().out
    for text in (
        "2 groups read as 'preference'",
        "rows look like 'preference'",
        "prompt words",
        "row:2",
        "warning",
    ):
        assert text in shown
    assert "training would accept every row" in shown
