"""The guide says of every kind how it is asked and measured, and its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from charter.constitution import Constitution
from charter.constitution.cases import KINDS
from charter.evaluation.suite import SuiteOptions
from charter.evaluation.suite.measure import MEASURES
from charter.evaluation.suite.measure.compliance import ANCHORS
from charter.evaluation.suite.plan import STEER_TURN
from charter.evaluation.suite.probe import PASS_AT
from charter.evaluation.suite.reading.same import SHORT
from charter.evaluation.suite.tables.conflicts import HIGH

GUIDE = (Path(__file__).parents[3] / "docs" / "tests.md").read_text(encoding="utf-8")


def test_every_kind_has_a_measure_and_a_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", GUIDE, re.MULTILINE)
    assert [name for name, _ in rows] == [
        "judge",
        "rule",
        "must_comply",
        "must_refuse",
        *list(KINDS)[2:4],
        *list(KINDS)[6:],
    ]
    assert set(MEASURES) == set(KINDS) == {name for name, _ in rows}
    assert all(len(row.split(" | ")) == 3 and all(row.split(" | ")) for _, row in rows)


def test_numbers() -> None:
    options = SuiteOptions()
    assert f"the prompt, {options.distribution_samples} times" in GUIDE
    assert f"below, or above, {options.distribution_limit:g}" in GUIDE
    assert f"above {1 - options.matched_at_least:.0%}".replace("%", " %") in GUIDE
    assert f"It must get {PASS_AT:.0%}".replace("%", " %") in GUIDE and HIGH == 0.25 and SHORT == 8
    assert sum(bool(anchor.holds) for anchor in ANCHORS) == 5 == len(ANCHORS) / 2
    assert STEER_TURN.split("{")[0].strip() in GUIDE


def test_the_example_is_a_test() -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    constitution = Constitution.from_text(f"## A {{#a authority=user}}\n\nBe.\n\n```yaml tests\n{block}```\n")
    [turns] = constitution.principle("a").tests[0].conversations()
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
