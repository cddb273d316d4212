"""Bad recipes are refused in words a person can act on, before a model loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from charter.errors import CharterError, ConfigError
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe, json_schema

ROOT = Path(__file__).parents[2]


def edit(recipe: Path, old: str, new: str) -> Path:
    text = recipe.read_text("utf-8")
    assert old in text
    recipe.write_text(text.replace(old, new), "utf-8")
    return recipe


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: tiny", "nam: tiny", "did you mean 'name'"),
        ("temperature: 1.0", "temprature: 1.0", "did you mean 'temperature'"),
        ("max_steps: 4", "max_step: 4", "did you mean 'max_steps'"),
        ("learning_rate: 1.0e-3", "learning_rate: 1e-3", "1.0e-3"),
        ("algorithm: dpo", "algorithm: dop", "did you mean 'dpo'"),
        ("- judge: {}", "- juge: {}", "did you mean 'judge'"),
        ("num_generations: 4", "num_generations: four", "num_generations"),
        ("num_generations: 4", "num_generations: 0", "greater than or equal to 1"),
        ("use_peft: true", "lora_r: 4", "no effect"),
        ("max_steps: 4", "gradient_checkpointing: true", "tokens_per_microbatch"),
        ("  - judge: {}\n", "", "compare needs judge"),
        ("constitution: house.constitution.md\n", "", "needs a constitution"),
    ],
)
def test_mistakes_name_the_place_and_the_fix(recipe: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.load(edit(recipe, old, new))
    assert words in str(caught.value)
    assert str(recipe) in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("prompts: train.jsonl", "prompts: trian.jsonl", "train.jsonl"),
        ("unrelated: prose.txt", "unrelated: prosa.txt", "no such file"),
        ("compare: {}", "compare: {quota: {style.word: 3}}", "style.words"),
        ("prompts: heldout.jsonl", "prompts: train.jsonl", "also training prompts"),
        ("model: model", "model: no/where/at-all", "no/where"),
    ],
)
def test_preflight_finds_what_is_missing(recipe: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(CharterError) as caught:
        preflight(Recipe.load(edit(recipe, old, new)))
    assert words in str(caught.value)


def test_preflight_counts(recipe: Path) -> None:
    found = preflight(Recipe.load(recipe))
    assert found["sample prompts"] == 12
    assert found["evaluate prompts"] == 6
    assert found["principles measured"] == 2
    assert found["principles not measured"] == 1


def test_missing_recipe_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        Recipe.load(tmp_path / "none.yaml")


def test_every_shipped_recipe_is_sound() -> None:
    shipped = sorted((ROOT / "recipes").glob("*.yaml"))
    assert shipped
    for path in shipped:
        preflight(Recipe.load(path))


def test_schema_knows_every_stage_and_algorithm_option() -> None:
    schema = json.loads(json.dumps(json_schema()))
    text = json.dumps(schema)
    assert "num_generations" in text and "lora_r" in text and '"const": "dpo"' in text
    written = json.loads((ROOT / "docs" / "recipe.schema.json").read_text("utf-8"))
    assert written == schema, "run `python scripts/recipe_schema.py`"


def test_schema_accepts_shipped_keys() -> None:
    """The schema's keys are those the recipes use."""
    schemas = json_schema()["properties"]["stages"]["items"]["oneOf"]
    for path in (ROOT / "recipes").glob("*.yaml"):
        for stage in yaml.safe_load(path.read_text("utf-8"))["stages"]:
            ((kind, options),) = stage.items()
            of_kind = [s["properties"][kind]["properties"] for s in schemas if s["required"] == [kind]]
            algorithm = options.get("algorithm")
            (known,) = (k for k in of_kind if kind != "train" or k["algorithm"]["const"] == algorithm)
            assert set(options) <= set(known), (path, kind)
