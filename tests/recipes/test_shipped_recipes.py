"""Recipes that are shipped load, pass every check that needs no model, and are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from charter.catalogue import ENTRIES
from charter.constitution import Constitution
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.types import Completion, Context, Group, Message, Sample

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
SHIPPED = sorted(path.stem for path in RECIPES.glob("*.yaml"))

TRAINS: dict[str, list[str]] = {
    "quickstart": ["dpo"],
    "r1-zero": ["grpo"],
    "instructgpt": ["sft", "reward-kwise", "ppo-ptx"],
    "llama2": ["sft", "reward-margin", "reward-margin", "best-of-n", "ppo"],
    "rs-dpo": ["sft", "reward", "rs-dpo"],
    "sdpo": ["sdpo"],
    "constitutional-ai": ["sft"],
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
    papers = {ENTRIES[algorithm].paper for algorithm in TRAINS[name]} | {"2501.12948", "2212.08073"}
    assert any(part.strip() in head for paper in papers for part in paper.split(";"))
    assert f"charter run recipes/{name}.yaml" in head
    assert "not measured" in head or "docs/recipes.md" in head


def test_every_recipe_is_on_the_page_of_recipes() -> None:
    """With its time and effect, or with the words that nobody measured them."""
    page = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    assert [name for name in SHIPPED if f"`recipes/{name}.yaml`" not in page] == []


@pytest.mark.parametrize("name", ["instructgpt", "llama2", "rs-dpo"])
def test_stages_use_the_models_before_them(name: str) -> None:
    text = (RECIPES / f"{name}.yaml").read_text("utf-8")
    stages = [stage for kind, stage in loaded(name).stages if kind == "train"]
    assert len(stages) >= 3
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
    assert trained & held_out == set() and len(held_out) == 128
    weights = dict(zip(stage.given["reward_funcs"], stage.given["reward_weights"], strict=True))
    assert weights["reasoning-gym"] > weights["format:partial=true"]


def test_instructgpt_never_measures_on_what_it_trains() -> None:
    (evaluate,) = [stage for kind, stage in loaded("instructgpt").stages if kind == "evaluate"]
    assert evaluate.unrelated is None
    assert all(len(row["text"].split()) > 20 for row in rows("instructgpt/pretraining.jsonl"))
    taught = {row["prompt"][0]["content"].lower() for row in rows("instructgpt/demonstrations.jsonl")}
    asked = {row["prompt"][0]["content"].lower() for row in rows("quickstart/heldout.jsonl")}
    assert len(taught) == 40 and not taught & asked


def test_demonstrations_keep_to_the_constitution() -> None:
    """They show what is rewarded later: each passes every rule that is about it."""
    law = ConstitutionFeedback(Constitution.load(RECIPES / "quickstart.constitution.md"))
    for row in rows("instructgpt/demonstrations.jsonl"):
        context = Context(tuple(Message(**turn) for turn in row["prompt"]))
        answer = Completion(row["completion"][0]["content"], finish_reason="stop")
        tags = ["identity"] if row["id"].startswith("identity") else []
        (said,) = law.judge([Group((Sample(context, answer),), id=row["id"], meta={"tags": tags})])
        failed = [j.principle for j in said if j.value is not None and j.value < 1]
        assert failed == [], row["id"]


def test_the_gate_of_llama2_goes_by_the_tag_of_its_prompts() -> None:
    gated = [
        stage.given
        for kind, stage in loaded("llama2").stages
        if kind == "train" and stage.given.get("reward_funcs")
    ]
    assert [given["reward_weights"] for given in gated] == [[0.0, 0.0, 1.0]] * 2
    assert all(
        "gate:helpful=helpfulness,safety=safety,threshold=0.15,tag=identity" in g["reward_funcs"]
        for g in gated
    )
    tagged = sum("identity" in row["tags"] for row in rows("quickstart/train.jsonl"))
    assert 20 < tagged < 100


def test_the_reward_models_of_llama2_learn_from_different_principles() -> None:
    helpful, safe = (stage.weights for kind, stage in loaded("llama2").stages if kind == "compare")
    law = Constitution.load(RECIPES / "quickstart.constitution.md")
    assert set(helpful) | set(safe) == {principle.id for principle in law.active}
    assert not set(helpful) & set(safe) and not any((*helpful.values(), *safe.values()))


def named_on(page: Path) -> set[str]:
    """The recipes a page names; ``NAME`` stands for any."""
    return set(re.findall(r"recipes/([\w-]+)\.yaml", page.read_text("utf-8"))) - {"NAME"}


def test_pages_name_only_recipes_that_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {str(page.relative_to(ROOT)): named_on(page) for page in pages}
    assert {"docs/recipes.md", "docs/online.md"} <= {page for page, names in named.items() if names}
    assert {page: names - set(SHIPPED) for page, names in named.items() if names - set(SHIPPED)} == {}


def test_the_page_of_online_training_names_every_recipe_that_samples_while_it_trains() -> None:
    samples = {name for name in SHIPPED if any(ENTRIES[one].rollouts for one in TRAINS[name])}
    assert samples and samples <= named_on(ROOT / "docs" / "online.md")
