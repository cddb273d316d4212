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
    rows = {name: committed[name] for name in ("corrected", "clustered", "powered", "joint", "example")}
    assert code.summaries(rows) == committed["summary"]


def test_what_is_claimed(committed: dict[str, Any]) -> None:
    by_labels = committed["summary"]["corrected_by_labels"]
    assert by_labels["200"]["within"] == 1.0 and by_labels["60"]["within"] > 0.95
    assert committed["summary"]["corrected"]["lowest"] > 0.915
    assert committed["summary"]["powered"]["within"] == 1.0
    assert committed["summary"]["raw"]["mean"] < 0.3
    assert all(row["alpha_over_pairs"] < 0.9 < row["alpha"] for row in committed["agreement"])


def test_what_is_claimed_of_clustered_labels(committed: dict[str, Any]) -> None:
    summary = committed["summary"]
    assert summary["clustered"]["lowest"] >= 0.93 > 0.9 > summary["clustered_as_independent"]["lowest"]


def test_what_is_claimed_of_levels(committed: dict[str, Any]) -> None:
    """Nominal where errors say nothing of each other; the more they hang together, the less."""
    summary = committed["summary"]
    assert summary["joint"]["lowest"] >= 0.93 and summary["joint"]["highest"] <= 0.97
    assert summary["joint_raw"]["highest"] < 0.9
    together = [summary["joint_by_errors_together"][share]["mean"] for share in ("0.25", "0.5", "1.0")]
    assert summary["joint"]["mean"] > together[0] > together[1] > together[2]


def test_what_is_claimed_of_plans(committed: dict[str, Any]) -> None:
    rows = {row["plan"]: row for row in committed["plans"]}
    for name, row in rows.items():
        key = "decided_at_truth" if name.endswith("before") else "decided_as_seen"
        assert row["planned"] >= 40 and 0.7 <= row[key] <= 0.9, row


def test_the_code_still_gives_a_committed_level(code: ModuleType, committed: dict[str, Any]) -> None:
    settings = code.joint_settings()
    assert [{name: row[name] for name in settings[0]} for row in committed["joint"]] == settings
    again = code.joint_cell(0, committed["runs"], settings[0])
    assert again == pytest.approx(committed["joint"][0], abs=0.002)


def test_finished_cells_are_kept(code: ModuleType, tmp_path: Path) -> None:
    path, asked = tmp_path / "cells.jsonl", []

    def compute() -> dict[str, Any]:
        asked.append(1)
        return {"coverage": 0.95}

    first = code.Kept(path, "a").row(["joint", 1], compute)
    path.write_text(path.read_text("utf-8") + '{"key": "cut o', "utf-8")
    assert code.Kept(path, "a").row(["joint", 1], compute) == first and len(asked) == 1
    code.Kept(path, "b").row(["joint", 1], compute)  # other code
    code.Kept(path, "a").row(["joint", 2], compute)
    assert len(asked) == 3


@pytest.mark.parametrize("index", [0, 200])
def test_the_code_still_gives_a_committed_cell(
    code: ModuleType, committed: dict[str, Any], index: int
) -> None:
    row = committed["corrected"][index]
    cell = [row[name] for name in ("rate", "sensitivity", "specificity", "answers", "labels")]
    assert code._corrected(index, committed["runs"], *cell) == pytest.approx(row, abs=0.002)
