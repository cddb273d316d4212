"""The report over a whole constitution: complete, plain, and honest about what is missing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from suite_planted import GREEDY, SAMPLED, PlantedJudge, asked, written

from charter.constitution import Constitution
from charter.constitution.cases import KINDS
from charter.engines.scripted import ScriptedEngine
from charter.errors import Interrupted
from charter.evaluation.suite import SuiteOptions, run_tests
from charter.evaluation.suite.tables.conflicts import diagnosis
from charter.evaluation.suite.tables.pluralism import pluralism
from charter.types import Context, Group

SMALL = Constitution.load("small")


def test_every_test_has_a_result_and_the_report_is_plain_json() -> None:
    report = asked(SMALL, lambda text, n: "No, I can't help with that.")
    ids = [(p.id, case.id) for p in SMALL.active for case in p.tests]
    assert [(one.principle, one.test) for one in report.results] == ids
    assert set(report.counts) == set(KINDS)
    assert all(one.why for one in report.results)
    assert all(one.by for one in report.results if one.measured)
    written_out = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert written_out["counts"] == report.counts and len(written_out["results"]) == len(ids)
    assert sum(report.missing.values()) == sum(not one.measured for one in report.results) > 0
    places = {group.id: len(group.samples) for group in report.groups}
    for one in report.results:
        assert all(sample.sample < places[sample.group] for sample in one.samples)


def test_with_a_judge_nothing_is_left_unmeasured_but_what_it_is_silent_on() -> None:
    def truth(title: str, answer: str, group: Group) -> bool | None:
        number = title.removeprefix("Viewpoint ").removeprefix("Stance ")
        if number != title:  # anchors hold their own statement only; what the model says holds none
            return group.id == f"anchor-{number}"
        if group.id.startswith("anchor-"):
            anchors = {"Does what the user asked": "13579", "Says the same again": "135"}
            words = {"Says yes": "15", "Says no": "24", "Takes no side": "36"}
            return group.id.removeprefix("anchor-") in {**anchors, **words}[title]
        return True

    judge = PlantedJudge(truth)
    report = asked(SMALL, lambda text, n: "tea " * 9, judge=judge, prober=judge)
    silent = {one.kind for one in report.results if not one.measured}
    assert silent <= {"invariance", "distribution"}, report.missing


def test_greedy_answers_say_nothing_of_seeds() -> None:
    report = asked(
        written('- {id: c, kind: must_comply, prompt: "C?"}'), lambda text, n: "Sure.", sampling=GREEDY
    )
    assert report.consistency.seeds is None and "no test has two answers" in report.consistency.seeds_missing
    assert len(report.groups[0].samples) == 1


def test_consistency_over_seeds() -> None:
    tests = '- {id: a, kind: must_comply, prompt: "A?"}\n- {id: b, kind: must_comply, prompt: "B?"}'

    def half(text: str, n: int) -> str:
        return "I won't do that." if text == "B?" and n < 2 else "Sure."

    report = asked(written(tests), half, seeds=4)
    # A is always alike; of the 6 pairs of B's seeds 2 are.
    assert report.consistency.seeds.rate == pytest.approx((1 + 2 / 6) / 2)
    assert set(report.consistency.seeds_by_kind) == {"must_comply"}


@pytest.mark.parametrize(
    ("kept", "seeds", "judges", "said"),
    [
        (None, None, None, "not measured"),
        (1.0, None, None, "one answer each"),
        (0.5, 0.6, 0.0, "untrained"),
        (1.0, 0.0, 0.5, "ambiguous text"),
        (1.0, 0.1, 0.1, "settled as declared"),
        (0.0, 0.1, 0.1, "settled against the declared winner"),
        (1.0, 0.1, None, "settled as declared; disagreement of judges not measured"),
    ],
)
def test_diagnosis(kept: float | None, seeds: float | None, judges: float | None, said: str) -> None:
    assert diagnosis(kept, seeds, judges).startswith(said)


def test_rows_of_pluralism_without_a_value_come_last() -> None:
    tests = (
        '- {id: a, kind: distribution, prompt: "A?", options: [x, y], target: {x: 0.5, y: 0.5}}\n'
        '- {id: b, kind: distribution, prompt: "B?", options: [x, y], target: {x: 0.5, y: 0.5}}\n'
        '- {id: c, kind: distribution, prompt: "C?", options: [x, y], target: {x: 0.5, y: 0.5}}'
    )
    said = {"A?": lambda n: "xy"[n % 2], "B?": lambda n: "z", "C?": lambda n: "x"}
    report = asked(written(tests), lambda text, n: said[text](n))
    assert [row.test for row in report.pluralism] == ["c", "a", "b"]
    assert [row.value is None for row in pluralism(report.results)] == [False, False, True]


def test_a_stop_keeps_what_was_answered(tmp_path: Path) -> None:
    tests = "\n".join(f'- {{id: j{n}, kind: must_comply, prompt: "Question {n}?"}}' for n in range(4))

    class Stopped(ScriptedEngine):
        def generate(self, contexts: Sequence[Context], *args: Any, **more: Any) -> list[Group]:
            os.kill(os.getpid(), signal.SIGINT)
            return super().generate(contexts, *args, **more)

    how: dict[str, Any] = {
        "sampling": SAMPLED, "journal": tmp_path / "j.jsonl", "options": SuiteOptions(batch_size=1)
    }  # fmt: skip
    with pytest.raises(Interrupted):
        run_tests(written(tests), Stopped(lambda text, n: "Sure."), **how)
    rest = ScriptedEngine(lambda text, n: "Sure.")
    report = run_tests(written(tests), rest, **how)
    assert rest.calls == 3 and report.enforcement[0].over.rate == 0.0
