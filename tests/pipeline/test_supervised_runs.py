"""Supervised objectives and distillation through the function everyone calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import charter
from charter.testing import save_tiny
from charter.training.loop import Loop

PROMPTS = [[{"role": "user", "content": f"Say {word}"}] for word in ("one", "two", "three", "four")]
ROWS = [
    {"prompt": p, "completion": [{"role": "assistant", "content": f"ok {i}"}]} for i, p in enumerate(PROMPTS)
]
PAIRS = [
    {
        "prompt": row["prompt"],
        "chosen": row["completion"],
        "rejected": [{"role": "assistant", "content": "no"}],
    }
    for row in ROWS
]
TEXTS = [{"text": "Once upon a time there was a tea pot."}, {"text": "It was blue."}]
ASKED = [{"prompt": p} for p in PROMPTS]
CONTEXT = {"teacher_context": "Be brief and kind."}
ALL: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "sft": ("sft", ROWS, {}),
    "whole text": ("sft", ROWS, {"completion_only_loss": False}),
    "sequence mean": ("sft", ROWS, {"loss_aggregation": "sequence_mean", "loss_type": "dft"}),
    "dft": ("dft", ROWS, {}),
    "pretrain": ("pretrain", TEXTS, {}),
    "imitation": ("imitation", PAIRS, {}),
    "binary discrimination": ("binary-discrimination", PAIRS, {"learning_rate": 1e-3}),
    "distillation": ("context-distillation", ROWS, CONTEXT),
    "distillation of text": ("context-distillation", TEXTS, CONTEXT),
    "on policy": (
        "on-policy-distillation",
        ASKED,
        {**CONTEXT, "max_completion_length": 9, "learning_rate": 1e-3},
    ),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def trained(name: str, model: str, directory: Path, **changes: Any) -> list[dict[str, Any]]:
    algorithm, data, options = ALL[name]
    values = {"max_steps": 3, "per_device_train_batch_size": 4, "bf16": False, **options, **changes}
    charter.train(algorithm, charter.load(model, bf16=False), data, output_dir=directory, **values)
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ALL)
def test_the_loss_falls_on_rows_seen_again(name: str, tiny: str, tmp_path: Path) -> None:
    rows = trained(
        name, tiny, tmp_path, max_steps=8, lr_scheduler_type="constant", use_peft=True, learning_rate=1e-2
    )
    losses = [row["loss"] for row in rows]
    if "dft" in str(ALL[name]):  # a likelier token weighs more, so the loss itself may rise
        losses = [row["nll"] for row in rows]
    assert min(losses[4:]) < losses[0]


@pytest.mark.parametrize("name", ALL)
def test_splits_of_a_step_change_nothing(name: str, tiny: str, tmp_path: Path) -> None:
    whole = trained(name, tiny, tmp_path / "whole", tokens_per_microbatch=100_000)
    parts = trained(name, tiny, tmp_path / "parts", tokens_per_microbatch=1)
    for one, other in zip(whole, parts, strict=True):
        for metric in one.keys() - {"seconds", "seconds_sampling", "tokens_computed"}:
            assert one[metric] == pytest.approx(other[metric], rel=5e-5, abs=2e-6), metric


def test_imitation_is_sft_on_the_better_answers(tiny: str, tmp_path: Path) -> None:
    sft, imitation = (trained(name, tiny, tmp_path / name) for name in ("sft", "imitation"))
    assert [row["loss"] for row in sft] == [row["loss"] for row in imitation]


def test_pretraining_is_sft_on_whole_texts(tiny: str, tmp_path: Path) -> None:
    charter.train(
        "pretrain",
        charter.load(tiny, bf16=False),
        ROWS,
        output_dir=tmp_path / "pretrain",
        max_steps=1,
        bf16=False,
    )
    whole = trained("whole text", tiny, tmp_path / "whole", max_steps=1, per_device_train_batch_size=8)
    row = json.loads((tmp_path / "pretrain" / "metrics.jsonl").read_text().splitlines()[0])
    assert row["loss"] == whole[0]["loss"]


# -- the student's own answers ---------------------------------------------------------------


def answers_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "samples.jsonl").read_text().splitlines()]


def test_every_step_learns_from_what_its_own_weights_wrote(tiny: str, tmp_path: Path) -> None:
    rows = trained("on policy", tiny, tmp_path / "a")
    found = answers_of(tmp_path / "a")
    assert [row["weight_version"] for row in found] == [0] * 4 + [1] * 4 + [2] * 4
    assert all(row["sampled_by"] == "policy" for row in found)
    assert all(0 < row["completions/mean_length"] <= 9 for row in rows)
    again = trained("on policy", tiny, tmp_path / "b", tokens_per_microbatch=1)
    assert answers_of(tmp_path / "b") == found
    assert rows[0]["loss"] == pytest.approx(again[0]["loss"], rel=1e-5)
    trained("on policy", tiny, tmp_path / "c", seed=7)
    assert answers_of(tmp_path / "c") != found


def test_a_round_of_answers_may_last_several_steps(tiny: str, tmp_path: Path) -> None:
    rows = trained("on policy", tiny, tmp_path, per_device_train_batch_size=2, steps_per_generation=2)
    assert [row["weight_version"] for row in answers_of(tmp_path)] == [0] * 4 + [2] * 4
    assert [row["rollouts/round"] for row in rows] == [1, 1, 2]


def _breaks_once(look: Any) -> Any:
    """A loop that ends without warning after its third step."""
    broken: list[int] = []

    def breaks(self: Loop, log: Any, values: dict[str, float]) -> None:
        look(self, log, values)
        if self.state.done == 3 and not broken:
            broken.append(3)
            raise KeyError("torn")

    return breaks


def test_a_run_that_broke_within_a_round_goes_on_with_its_answers(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"per_device_train_batch_size": 2, "steps_per_generation": 2, "save_steps": 1}
    whole = trained("on policy", tiny, tmp_path / "a", max_steps=4, **options)

    monkeypatch.setattr(Loop, "_look", _breaks_once(Loop._look))
    with pytest.raises(KeyError, match="torn"):
        trained("on policy", tiny, tmp_path / "b", max_steps=4, **options)
    rows = trained("on policy", tiny, tmp_path / "b", max_steps=4, **options)
    assert [row["loss"] for row in rows] == [row["loss"] for row in whole]
    assert answers_of(tmp_path / "b") == answers_of(tmp_path / "a")


def test_held_out_prompts_are_answered_once(tiny: str, tmp_path: Path) -> None:
    rows = trained("on policy", tiny, tmp_path, eval_data=ASKED[:2], eval_steps=1)
    assert all(row["eval_loss"] > 0 for row in rows)
    still = trained("on policy", tiny, tmp_path / "s", eval_data=ASKED[:2], eval_steps=1, learning_rate=1e-12)
    assert still[0]["eval_loss"] == pytest.approx(still[2]["eval_loss"], rel=1e-6)


def test_a_recipe_names_the_context_beside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.pipeline.recipe import Recipe

    (tmp_path / "prompt.txt").write_text("Be brief.", encoding="utf-8")
    stage = {"algorithm": "context-distillation", "data": "rows.jsonl", "teacher_context": "prompt.txt"}
    monkeypatch.chdir(tmp_path.parent)
    recipe = Recipe.parse({"name": "r", "model": "m", "stages": [{"train": stage}]}, tmp_path / "r.yaml")
    assert recipe.options[1].teacher_context == "Be brief."  # type: ignore[attr-defined]


def test_evaluation_data_is_distilled_too(tiny: str, tmp_path: Path) -> None:
    rows = trained("distillation", tiny, tmp_path, eval_data=ROWS[:2], eval_steps=1)
    assert all(row["eval_loss"] > 0 for row in rows)
    assert torch.is_grad_enabled()
