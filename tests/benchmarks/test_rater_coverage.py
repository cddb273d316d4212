"""The committed numbers are those of the code, and good enough to be claimed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def code() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    import rater_coverage

    yield rater_coverage
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    return dict(json.loads((BENCHMARKS / "results" / "rater_coverage.json").read_text()))


def test_the_summary_is_that_of_the_rows(code: ModuleType, committed: dict[str, Any]) -> None:
    assert code.summary(committed["rows"]) == committed["summary"]


def _coverage(row: dict[str, Any]) -> float:
    return float(row["coverage"])


def test_what_is_claimed(committed: dict[str, Any]) -> None:
    assert 0.94 <= committed["summary"]["mean"] <= 0.97
    lowest = min((row for row in committed["rows"] if "not meant" not in row["measure"]), key=_coverage)
    assert lowest["measure"] == "Dawid-Skene accuracy 0.95" and lowest["coverage"] > 0.86  # as the page says
    others = [row["coverage"] for row in committed["rows"] if "Dawid-Skene" not in row["measure"]]
    assert sorted(others)[1] > 0.92  # the lowest is the one not meant to hold
    naive = [row["coverage"] for row in committed["rows"] if "not meant" in row["measure"]]
    assert max(naive) < 0.5  # who does not know of guessing raters is wrong


@pytest.mark.parametrize("part", ["times", "gaps", "shares"])
def test_the_code_still_gives_the_committed_rows(
    code: ModuleType, committed: dict[str, Any], part: str
) -> None:
    ((function, runs),) = [one for one in code.PARTS if one[0].__name__ == part]
    rows = code.measure(function, round(runs * committed["scale"]))
    assert rows == [row for row in committed["rows"] if row["part"] == part]
