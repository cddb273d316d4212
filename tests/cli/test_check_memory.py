"""``charter check`` shows what training will take before anything loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.check_memory import plans_for, size
from charter.cli.main import app
from charter.testing import save_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("model")))


def pairs(path: Path) -> str:
    rows = [{"prompt": f"Say {i}.", "chosen": " yes", "rejected": " no"} for i in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def check(*arguments: str) -> str:
    return CliRunner().invoke(app, ["check", *arguments], catch_exceptions=False).stdout


def recipe(folder: Path, model: str, **options: object) -> str:
    stage = "".join(f", {name}: {json.dumps(value)}" for name, value in options.items())
    text = f"name: x\nmodel: {model}\nstages:\n  - train: {{algorithm: dpo, data: pairs.jsonl{stage}}}\n"
    pairs(folder / "pairs.jsonl")
    (folder / "recipe.yaml").write_text(text, "utf-8")
    return str(folder / "recipe.yaml")


def test_of_data_with_a_model(tmp_path: Path, tiny: str) -> None:
    out = check(pairs(tmp_path / "pairs.jsonl"), "--model", tiny)
    for word in ("full fine-tuning", "LoRA, rank 16", "policy", "reference", "critic", "in all"):
        assert word in out
    assert "chosen" not in out.partition("memory")[2]


def test_of_data_alone_there_is_none(tmp_path: Path) -> None:
    assert "optimizer" not in check(pairs(tmp_path / "pairs.jsonl"))


def test_of_a_recipe_marks_what_it_says(tmp_path: Path, tiny: str) -> None:
    out = check(recipe(tmp_path, tiny, use_peft=True, lora_r=4))
    assert "stage 1: train dpo" in out and "LoRA, rank 4 (chosen)" in out and out.rstrip().endswith("ok")
    out = check(recipe(tmp_path, tiny, sync_ref_model=True))
    assert "full fine-tuning (chosen)" in out and "a float32 copy of the trained weights" in " ".join(
        out.split()
    )


def test_of_an_online_recipe_counts_critic_and_sampler(tmp_path: Path, tiny: str) -> None:
    stage = "algorithm: ppo, data: prompts.jsonl, reward_funcs: [length:max=4], num_generations: 2"
    text = f"name: x\nmodel: {tiny}\nstages:\n  - train: {{{stage}, per_device_train_batch_size: 4}}\n"
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Say hi."}\n', "utf-8")
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    found = json.loads(check(str(tmp_path / "recipe.yaml"), "--json"))
    full, lora = found["memory"]["stage 1: train ppo"]
    sizes = {part["name"]: part["bytes"] for part in full["parts"]}
    assert all(sizes[name] > 0 for name in ("critic", "reference", "sampler", "rollouts cache"))
    assert {p["name"]: p["bytes"] for p in lora["parts"]}["reference"] == 0
    out = " ".join(check(str(tmp_path / "recipe.yaml")).split())
    assert "critic" in out and "rollouts cache" in out and "reward_funcs" in out


def test_as_json(tmp_path: Path, tiny: str) -> None:
    found = json.loads(check(recipe(tmp_path, tiny), "--json"))
    full, lora = found["memory"]["stage 1: train dpo"]
    assert full["chosen"] and not lora["chosen"]
    assert full["total"] == sum(part["bytes"] for part in full["parts"]) > 0
    listed = json.loads(check(pairs(tmp_path / "pairs.jsonl"), "--model", tiny, "--json"))
    assert len(listed["memory"]) == 2


def test_a_model_that_is_not_here_is_not_fetched(tmp_path: Path) -> None:
    assert plans_for("some-owner/some-model") == ()
    out = check(recipe(tmp_path, "some-owner/some-model"))
    assert "memory not planned" in out


@pytest.mark.parametrize(("count", "words"), [(0, "-"), (12, "12 B"), (1.5e3, "1.5 kB"), (2e9, "2.0 GB")])
def test_sizes_in_words(count: float, words: str) -> None:
    assert size(int(count)) == words
