"""The committed numbers are those of the code, and good enough to be claimed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charter.errors import Interrupted
from charter.interrupt import StopRequest
from charter.stats.intervals import Interval

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


def test_what_is_claimed(committed: dict[str, Any]) -> None:
    assert 0.94 <= committed["summary"]["mean"] <= 0.97
    held = {row["measure"]: row["coverage"] for row in committed["rows"]}
    plain = [held.pop(name) for name in list(held) if "not meant" in name]
    errors = [held.pop(name) for name in list(held) if "Dawid-Skene" in name]
    assert min(held.values()) > 0.93 and max(held.values()) < 0.98
    assert 0.85 < min(errors) < 0.92  # as the page says: the best rater's is too narrow
    assert max(plain) < 0.5  # who does not know of guessing raters is wrong


@pytest.mark.parametrize("part", ["times", "gaps", "shares"])
def test_the_code_still_gives_the_committed_rows(
    code: ModuleType, committed: dict[str, Any], part: str
) -> None:
    ((function, runs),) = [one for one in code.PARTS if one[0].__name__ == part]
    rows = code.measure(function, round(runs * committed["scale"]))
    assert rows == [row for row in committed["rows"] if row["part"] == part]


def test_the_page_holds_the_table_of_the_committed_rows(code: ModuleType, committed: dict[str, Any]) -> None:
    page = (BENCHMARKS.parent / "docs" / "raters.md").read_text(encoding="utf-8")
    assert "\n".join(code.table(committed["rows"])) in page


def test_it_goes_on_where_it_was_stopped(
    code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    stop = StopRequest()

    def first(seed: int) -> Any:
        asked.append(f"first {seed}")
        yield "a", 0.5, Interval(0.0, float(seed))

    def second(seed: int) -> Any:
        asked.append(f"second {seed}")
        stop.signum = 2
        yield "b", 0.5, Interval(0.0, 1.0)

    monkeypatch.setattr(code, "PARTS", ((first, 2), (second, 2)))
    kept = tmp_path / "kept.json"
    with pytest.raises(Interrupted, match="second"):
        code.all_rows(1.0, kept, stop)
    rows, _ = code.all_rows(1.0, kept, StopRequest())
    assert asked == ["first 0", "first 1", "second 0", "second 0", "second 1"]
    assert [(row["measure"], row["coverage"], row["width"]) for row in rows] == [
        ("a", 0.5, 0.5),
        ("b", 1.0, 1.0),
    ]
    code.all_rows(2.0, kept, StopRequest())  # as many runs as asked for, or none of it counts
    assert asked[5:] == [f"{name} {seed}" for name in ("first", "second") for seed in range(4)]
