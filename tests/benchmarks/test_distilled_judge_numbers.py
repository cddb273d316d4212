"""The committed numbers hold together, and say what the docs claim."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    found = json.loads((ROOT / "benchmarks" / "results" / "distilled_judge.json").read_text())
    return {one["name"]: one for one in found["constitutions"]}


@pytest.mark.parametrize("name", ["small", "assistant"])
def test_the_whole_is_its_parts(committed: dict[str, Any], name: str) -> None:
    one = committed[name]
    assert sum(row["pairs_n"] for row in one["principles"]) == one["overall"]["pairs_n"]
    assert {row["principle"] for row in one["principles"]} == set(one["card"]["uses"])
    for row in (*one["principles"], one["overall"]):
        lo, hi = row["pairs_interval"]
        assert lo <= row["pairs"] <= hi


def test_what_is_claimed(committed: dict[str, Any]) -> None:
    assistant, small = (committed[name]["overall"] for name in ("assistant", "small"))
    assert assistant["pairs_interval"][0] > assistant["longest"]
    assert assistant["against_length_interval"][0] > 0.5
    assert small["pairs"] < small["longest"]
    assert all(not one["card"]["usable"] for one in committed.values())


def test_the_docs_show_these_numbers(committed: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "distilled-judge.md").read_text()
    for name, one in committed.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
        overall = one["overall"]
        for key in ("pairs", "longest", "against_length"):
            assert f"{overall[key]:.0%}" in line, key
        for key in ("pairs_interval", "against_length_interval"):
            assert "{:.0%} to {:.0%}".format(*overall[key]) in line, key
