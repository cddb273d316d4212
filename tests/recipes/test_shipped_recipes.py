"""Recipes that are shipped load, pass every check that needs no model, and are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.catalogue import ENTRIES
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
SHIPPED = sorted(path.stem for path in RECIPES.glob("*.yaml"))

TRAINS: dict[str, list[str]] = {
    "quickstart": ["dpo"],
    "r1-zero": ["grpo"],
    "instructgpt": ["sft", "reward-kwise", "ppo-ptx"],
    "llama2": ["reward-margin", "reward-margin", "best-of-n", "ppo"],
    "rs-dpo": ["sft", "reward", "rs-dpo"],
    "sdpo": ["sdpo"],
    "constitutional-ai": ["sft", "dpo"],
    "constitutional-ai-endpoint": ["sft", "dpo"],
}


def loaded(name: str) -> Recipe:
    return Recipe.load(RECIPES / f"{name}.yaml")


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECIPES / name).read_text("utf-8").splitlines()]


def test_all_of_them_are_known_here() -> None:
    assert sorted(TRAINS) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_is_sound_and_named_like_its_file(name: str) -> None:
    if name == "r1-zero":
        pytest.importorskip("reasoning_gym")
    recipe = loaded(name)
    assert recipe.head.name == name
    assert preflight(recipe)["prompts in both files"] == 0
    assert [stage.algorithm for kind, stage in recipe.stages if kind == "train"] == TRAINS[name]


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {"quickstart"}))
def test_a_recipe_says_its_paper_and_how_long_it_takes(name: str) -> None:
    head = (RECIPES / f"{name}.yaml").read_text("utf-8").split("name:")[0]
    papers = {ENTRIES[algorithm].paper for algorithm in TRAINS[name]} | {"2501.12948"}
    assert any(part.strip() in head for paper in papers for part in paper.split(";"))
    assert f"charter run recipes/{name}.yaml" in head
    assert "not measured" in head


@pytest.mark.parametrize("name", ["instructgpt", "llama2", "rs-dpo"])
def test_stages_use_the_models_before_them(name: str) -> None:
    text = (RECIPES / f"{name}.yaml").read_text("utf-8")
    stages = [stage for kind, stage in loaded(name).stages if kind == "train"]
    for stage in stages[:-1]:
        assert "{" + stage.name + "}" in text, stage.name
    assert loaded(name).starts_from_a_stage()


def test_r1_zero_holds_out_other_tasks_and_pays_for_the_answer() -> None:
    pytest.importorskip("reasoning_gym")
    from charter.environments.tasks import reasoning_gym_prompts

    (stage,) = [stage for kind, stage in loaded("r1-zero").stages if kind == "train"]
    trained, held_out = (
        {group.samples[0].context.text for group in reasoning_gym_prompts(spec)}
        for spec in (stage.data, stage.eval_data)
    )
    assert all("<think>" in text and "<answer>" in text for text in trained)
    assert trained & held_out == set() and len(held_out) == 64
    weights = dict(zip(stage.given["reward_funcs"], stage.given["reward_weights"], strict=True))
    assert weights["reasoning-gym"] > weights["format"]


def test_instructgpt_never_measures_on_what_it_trains() -> None:
    (evaluate,) = [stage for kind, stage in loaded("instructgpt").stages if kind == "evaluate"]
    assert evaluate.unrelated is None
    assert len(rows("instructgpt/demonstrations.jsonl")) == len(rows("instructgpt/comparisons.jsonl")) == 24
    assert all(len(row["text"].split()) > 20 for row in rows("instructgpt/pretraining.jsonl"))


def test_margins_say_how_much_better() -> None:
    for file in ("helpfulness", "safety"):
        margins = [row["margin"] for row in rows(f"llama2/{file}.jsonl")]
        assert set(margins) == {1.0, 0.333} and margins.count(1.0) == len(margins) // 3
        assert all(row["chosen"] != row["rejected"] for row in rows(f"llama2/{file}.jsonl"))


@pytest.mark.parametrize("page", ["README.md", "docs/online.md", "docs/coverage.md"])
def test_pages_name_only_recipes_that_exist(page: str) -> None:
    import re

    named = re.findall(r"recipes/([\w-]+)\.yaml", (ROOT / page).read_text("utf-8"))
    assert set(named) <= set(SHIPPED)
    assert page != "docs/online.md" or set(named) >= set(SHIPPED) - {
        "quickstart",
        "sdpo",
        "constitutional-ai",
        "constitutional-ai-endpoint",
    }
