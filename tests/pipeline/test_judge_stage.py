"""The judge stage with a judge: used where its card lets it, checked before a model loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_evaluate_stage import write_card

from charter.errors import CharterError
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.pipeline.runner import run_recipe
from charter.records import read_groups
from charter.testing.endpoint import FakeEndpoint, say

JUDGED = """name: tiny
model: model
constitution: house.constitution.md
threads: 1
stages:
  - sample: {{prompts: heldout.jsonl, num_generations: 2, max_completion_length: 8}}
  - judge: {{judge: "{judge}", card: card.json}}
"""


def test_a_judge_speaks_where_its_card_lets_it_and_rules_elsewhere(recipe: Path) -> None:
    root = recipe.parent
    with FakeEndpoint([say("Yes")]) as fake:
        judge = f"endpoint:other@{fake.url}"
        write_card(root, f"{judge} (per_principle)")
        recipe.write_text(JUDGED.format(judge=judge), "utf-8")
        parsed = Recipe.load(recipe)
        assert preflight(parsed)["judge judge"] == f"{judge} (per_principle)"
        found = run_recipe(parsed, root / "run")["stages"]["judge"]
        asked = len(fake.requests)
        run_recipe(Recipe.load(recipe), root / "run")
        assert len(fake.requests) == asked
    groups = read_groups(root / "run" / "judgements.jsonl")
    said = {(j.principle, j.judge) for group in groups for j in group.judgements if j.value is not None}
    assert ("style.words", "rule") in said
    assert {name for id, name in said if id == "style.kind"} != {"rule"}
    assert found["principles"]["style.kind"]["rate"] == 1.0
    assert asked == 3 * sum(len(group.samples) for group in groups)  # the constitution asks three times


def test_a_judge_that_failed_its_card_is_not_asked(recipe: Path) -> None:
    root = recipe.parent
    with FakeEndpoint([say("Yes")]) as fake:
        judge = f"endpoint:other@{fake.url}"
        write_card(root, f"{judge} (per_principle)")
        card = root / "card.json"
        card.write_text(card.read_text("utf-8").replace('"calibrated"', '"refused"'), "utf-8")
        recipe.write_text(JUDGED.format(judge=judge), "utf-8")
        found = run_recipe(Recipe.load(recipe), root / "run")["stages"]["judge"]
        assert not fake.requests
    assert "style.kind" not in found["principles"]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("{card: card.json}", "card has no effect without a judge"),
        ("{judge: nowhere}", "nowhere"),
        ("{judge: model}", "family of the model"),
    ],
)
def test_judge_mistakes_are_found_before_a_model_loads(recipe: Path, stage: str, words: str) -> None:
    recipe.write_text(
        "name: t\nmodel: model\nconstitution: house.constitution.md\nstages:\n"
        f"  - sample: {{prompts: heldout.jsonl}}\n  - judge: {stage}\n",
        "utf-8",
    )
    with pytest.raises(CharterError, match=words):
        preflight(Recipe.load(recipe))
