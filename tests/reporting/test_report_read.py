from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from charter.errors import UserError
from charter.evaluation.rates.adherence import Gate, PrincipleInfo, adherence
from charter.reporting import parse_report, read_report
from charter.reporting.node import printable
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget

DATA = Path(__file__).parent / "data"
MINIMAL = {"schema": 1, "adherence": {}}


@pytest.fixture
def value() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / "report.json").read_text(encoding="utf-8"))
    return loaded


def test_reads_everything(value: dict[str, Any]) -> None:
    report = parse_report(value)
    assert report.algorithm == "dpo"
    assert report.adherence.overall.before and report.adherence.overall.after
    assert [row.status for row in report.adherence.principles].count("not_measured") == 1
    assert report.adherence.principles[0].text.startswith("An answer")
    assert report.training and report.training.curves["kl"][-1] == (30.0, 5.83)
    assert len(report.training.curves["loss"]) == 30
    assert report.data.pairs_per_principle and report.data.pairs_per_principle["style.brevity"] == 88


def test_missing_parts_stay_missing() -> None:
    report = parse_report(MINIMAL)
    assert report.adherence.overall.after is None
    assert report.adherence.overall.n is None
    assert report.training is None
    assert report.data.pairs is None and report.data.dropped is None and report.data.samples is None
    assert parse_report({**MINIMAL, "training": None, "health": None}) == report


def test_the_cards_own_json_is_read() -> None:
    info = PrincipleInfo("a", "Be brief", "user", "sha")
    groups = [
        Group(
            (Sample(Context("q"), Completion("x")),),
            (Judgement(SampleTarget(0), value=float(i % 3 > 0), principle="a"),),
            id=str(i),
        )
        for i in range(60)
    ]
    for card in (
        adherence(groups, [info], before=groups, gates=[Gate("user", 0.5)]),
        adherence(groups, [info]),
    ):
        report = parse_report({"schema": 1, "adherence": card.to_json()})
        row = report.adherence.principles[0]
        assert row.after and (row.after.k, row.after.n) == (40, 60)
        assert row.status == card.principles[0].status
        assert len(report.adherence.gates) == len(card.gates)


def test_not_measured_principles_without_a_row_are_shown() -> None:
    told = {"not_measured": [{"id": "z", "title": "Be kind", "why": "needs a judge"}]}
    row = parse_report({"schema": 1, "adherence": told}).adherence.principles[0]
    assert (row.title, row.status, row.why, row.n) == ("Be kind", "not_measured", "needs a judge", None)


def changed(value: dict[str, Any], path: str, new: Any) -> dict[str, Any]:
    copied = copy.deepcopy(value)
    *way, last = path.split("/")
    place: Any = copied
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = new
    return copied


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("schema", 2, "schema is 2"),
        ("schema", None, "schema is None"),
        ("adherence", None, "adherence must be an object, not nothing"),
        ("adherence", [], "adherence must be an object"),
        ("title", 7, "title must be text, not 7"),
        ("flags", "gamed", "flags must be a list"),
        ("flags", [3], r"flags\[0\] must be text, not 3"),
        ("health/1/after", "5.8", r"health\[1\].after must be a finite number"),
        ("health/1/flag", "yes", r"health\[1\].flag must be true or false"),
        ("adherence/overall/after/rate", 34, "adherence.overall.after.rate must be a number from 0 to 1"),
        ("adherence/overall/after/lo", None, "adherence.overall.after.lo must be a number, not nothing"),
        ("adherence/overall/change/p", -0.1, "adherence.overall.change.p must be"),
        ("adherence/principles/0/status", "up", "status must be one of rose, fell"),
        ("adherence/gates/0/result", "ok", "result must be one of pass"),
        ("data/pairs/total", 1.5, "data.pairs.total must be a count"),
        ("examples", [None], r"examples\[0\] must be an object, not nothing"),
        ("training/curves/loss", [0.1], "training.curves.loss has 1 values for 30 steps"),
        ("training/curves/kl", [[1, 2, 3]], r"kl\[0\] must be a pair of numbers"),
    ],
)
def test_wrong_types_name_the_key(value: dict[str, Any], path: str, new: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_report(changed(value, path, new), where="run/report.json")
    assert caught.value.where == "run/report.json"


def test_run_without_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was not evaluated") as caught:
        read_report(tmp_path)
    assert caught.value.fix and "charter run" in caught.value.fix
    with pytest.raises(UserError, match="no such run"):
        read_report(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "report.json").write_text('{"schema": 1,')
    with pytest.raises(UserError, match="cannot be read"):
        read_report(tmp_path)


def test_text_that_no_page_can_hold() -> None:
    assert printable("a\x00b\x1bc\r\nd\te") == "a\ufffdb\ufffdc\nd\te"
    lone = printable("a\ud800b")
    assert lone.encode("utf-8") and lone[0] + lone[-1] == "ab" and "\ufffd" in lone
