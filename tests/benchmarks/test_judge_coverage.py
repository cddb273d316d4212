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
    import judge_coverage

    yield judge_coverage
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    return dict(json.loads((BENCHMARKS / "results" / "judge_coverage.json").read_text()))


def test_the_summary_is_that_of_the_rows(code: ModuleType, committed: dict[str, Any]) -> None:
    assert code.summary(committed["corrected"]) == committed["summary"]["corrected"]
    assert code.summary(committed["powered"]) == committed["summary"]["powered"]


def test_what_is_claimed(committed: dict[str, Any]) -> None:
    by_labels = committed["summary"]["corrected_by_labels"]
    assert by_labels["200"]["within"] == 1.0 and by_labels["60"]["within"] > 0.95
    assert committed["summary"]["corrected"]["lowest"] > 0.915
    assert committed["summary"]["powered"]["within"] == 1.0
    assert committed["summary"]["raw"]["mean"] < 0.3
    assert all(row["alpha_over_pairs"] < 0.9 < row["alpha"] for row in committed["agreement"])


@pytest.mark.parametrize("index", [0, 200])
def test_the_code_still_gives_a_committed_cell(
    code: ModuleType, committed: dict[str, Any], index: int
) -> None:
    row = committed["corrected"][index]
    cell = [row[name] for name in ("rate", "sensitivity", "specificity", "answers", "labels")]
    assert code._corrected(index, committed["runs"], *cell) == pytest.approx(row, abs=0.002)
