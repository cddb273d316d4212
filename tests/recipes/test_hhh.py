"""The recipe of Askell et al., on the tiny model."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from charter.catalogue import ENTRIES
from charter.testing import save_tiny

EXAMPLE = Path(__file__).parents[2] / "examples" / "hhh.py"


@pytest.fixture(scope="module")
def hhh() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hhh_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_arm_runs_and_is_measured(hhh: ModuleType, tmp_path: Path) -> None:
    tiny = save_tiny(str(tmp_path / "tiny"), max_position_embeddings=1024)
    settings = hhh.Settings(
        tiny,
        tmp_path / "runs",
        steps=12,
        learning_rate=5e-3,
        prompt="Be helpful, honest and harmless.",
        max_completion_length=16,
        bf16=False,
    )
    found = {one.arm: one for one in hhh.run(settings)}
    arms = ["base", "prompted", "distilled", "imitation", "binary discrimination"]
    assert list(found)[:5] == arms
    assert ("ranked preference model" in found) == (hhh.REWARD in ENTRIES)
    assert all(0 <= one.accuracy <= 1 for one in found.values())
    # What each objective is for: nearer to the prompted model, likelier good answers.
    assert found["distilled"].to_prompted < 0.95 * found["base"].to_prompted
    assert found["imitation"].nll < found["base"].nll
    written = json.loads((tmp_path / "runs" / "hhh.json").read_text())
    assert [one["arm"] for one in written] == list(found)
    # Finished arms are not trained again.
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").glob("*/metrics.jsonl")}
    again = hhh.run(replace(settings))
    assert [one.accuracy for one in again] == [one.accuracy for one in found.values()]
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_votes_become_pairs_that_differ_in_one_word(hhh: ModuleType) -> None:
    for row in hhh.read(hhh.HERE / "votes.jsonl"):
        for pair in hhh.made_binary(row):
            right, wrong = pair["chosen"][0]["content"], pair["rejected"][0]["content"]
            assert right.partition(": ")[2] == wrong.partition(": ")[2]
            assert {right.partition(": ")[0], wrong.partition(": ")[0]} == {"GOOD", "BAD"}
        good, bad = hhh.made_binary(row)
        assert good["chosen"][0]["content"] == "GOOD: " + row["chosen"][0]["content"]
        assert bad["chosen"][0]["content"] == "BAD: " + row["rejected"][0]["content"]


def test_data_is_ranked_best_first_and_balanced(hhh: ModuleType) -> None:
    rows = hhh.read(hhh.HERE / "answers.jsonl")
    assert all(row["ranks"] == [1, 2, 3] and len(row["responses"]) == 3 for row in rows)
    tags = [row["tags"][0] for row in rows]
    assert {tag: tags.count(tag) for tag in tags} == {"helpful": 8, "honest": 8, "harmless": 8}
    held_out = [row["tags"][0] for row in rows[hhh.HELD_OUT - 1 :: hhh.HELD_OUT]]
    assert set(held_out) == set(tags)


def test_accuracy_counts_ordered_pairs(hhh: ModuleType) -> None:
    assert hhh.accuracy([[3.0, 2.0, 1.0]]) == 1.0
    assert hhh.accuracy([[1.0, 2.0, 3.0]]) == 0.0
    assert hhh.accuracy([[1.0, 1.0], [2.0, 1.0]]) == 0.5
