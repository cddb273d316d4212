"""Reward on prompts that are not trained on: the whole, and each of several rewards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import charter
from charter.rundir import read_jsonl
from charter.testing import save_tiny

TWO = {"reward_funcs": ["length:max=4", "length:max=2,name=shorter"], "reward_weights": [1.0, 0.5]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heldout")
    save_tiny(str(folder / "model"))
    for name, word in (("train", "Ask"), ("heldout", "Tell")):
        rows = [json.dumps({"prompt": f"{word} {i}."}) + "\n" for i in range(4)]
        (folder / f"{name}.jsonl").write_text("".join(rows), "utf-8")
    return folder


def rows_of(folder: Path, name: str, **options: Any) -> list[dict[str, float]]:
    charter.train(
        "grpo",
        folder / "model",
        folder / "train.jsonl",
        eval_data=str(folder / "heldout.jsonl"),
        output_dir=folder / name,
        eval_steps=1,
        max_steps=2,
        num_generations=2,
        per_device_train_batch_size=4,
        max_completion_length=6,
        bf16=False,
        **options,
    )
    return read_jsonl(folder / name / "metrics.jsonl")


def test_each_of_several_rewards_is_told_by_its_name(folder: Path) -> None:
    for row in rows_of(folder, "two", **TWO):
        each = [row[f"heldout_rewards/{name}/mean"] for name in ("length", "shorter")]
        assert row["heldout_reward"] == pytest.approx(each[0] + 0.5 * each[1])
        assert row["heldout_reward/missing"] == 0 and row["heldout_reward_stderr"] >= 0


def test_one_reward_is_the_whole(folder: Path) -> None:
    for row in rows_of(folder, "one", reward_funcs=["length:max=4"]):
        assert "heldout_reward" in row and not any(key.startswith("heldout_rewards/") for key in row)
