"""The stage ``revise``: data for imitation and for preferences in one recipe, and recipes that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.errors import CharterError, ConfigError
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.revising.writer import JudgeWriter
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.pipeline.runner import run_recipe
from charter.rundir import read_jsonl

HEAD = "name: tiny\nmodel: model\nconstitution: house.constitution.md\nthreads: 1\nstages:\n"
REVISE = "  - revise: {prompts: train.jsonl, rounds: 2}\n"
TRAIN = """  - train: {name: imitate, algorithm: sft, max_steps: 1, use_peft: true,
            per_device_train_batch_size: 2}
  - train: {name: prefer, algorithm: dpo, model: "{imitate}", max_steps: 1, use_peft: true,
            per_device_train_batch_size: 2}
"""


class Planted:
    """Mends what it is asked to mend."""

    name, family = "planted", "none"
    first = ""

    def answer(self, questions: list[Question], asking: Asking) -> list[list[Reply]]:
        return [[Reply(self._say(one), model=self.name)] for one in questions]

    def _say(self, question: Question) -> str:
        last = question.turns[-1].content
        if last.startswith("Look"):
            return "It could be kinder."
        if last == 'Please say that again without "D" at the beginning.':
            return f"So {question.turns[-2].content.replace('Dig', 'dig')}"
        if len(question.turns) == 1 and self.first:
            return self.first
        return f"{question.turns[-4].content} Thank you." if last.startswith("Now") else f"No to {last}"


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def open_writer(spec: str, **options: object) -> JudgeWriter:
        asked.append(Path(spec).name)
        return JudgeWriter(Planted())

    monkeypatch.setattr("charter.pipeline.stages.revise.open_writer", open_writer)
    monkeypatch.setattr("charter.pipeline.revising.open_writer", lambda spec, **options: None)  # preflight's
    return asked


def written(recipe: Path, stages: str) -> Recipe:
    recipe.write_text(HEAD + stages, "utf-8")
    return Recipe.load(recipe)


def test_both_kinds_of_training_follow(recipe: Path, tmp_path: Path, planted: list[str]) -> None:
    parsed = written(recipe, REVISE + TRAIN)
    assert preflight(parsed)["revise prompts"] == 12
    result = run_recipe(parsed, tmp_path / "run")
    assert planted == ["model"], "the recipe's model answers and criticises, loaded once"
    stages = tmp_path / "run" / "stages"
    sft, pairs = (read_jsonl(stages / "1-revise" / f"{kind}.jsonl") for kind in ("sft", "preference"))
    assert len(sft) == len(pairs) == 12
    drawn = {tuple(row["principles"]) for row in pairs}
    assert drawn <= {(a, b) for a in _IDS for b in _IDS if a != b}
    assert pairs[0]["chosen"][0]["content"] == "No to Say a0. Thank you. Thank you."
    assert result["stages"]["revise"]["counts"]["revisions used"] == 24
    assert result["stages"]["prefer"]["steps"] == 1
    assert json.loads((stages / "1-revise" / "done.json").read_text())["revised_by"] == "planted"
    assert (tmp_path / "run" / "revised.jsonl").exists()
    again = run_recipe(parsed, tmp_path / "run")
    assert again["stages"]["revise"]["skipped"] and planted == ["model"]


_IDS = ("style.words", "style.zeta", "style.kind")


def test_another_critic_is_another_model(recipe: Path, tmp_path: Path, planted: list[str]) -> None:
    run_recipe(written(recipe, REVISE.replace("rounds: 2", "critic: other")), tmp_path / "run")
    assert planted == ["model", "other"]


def test_rules_criticise_and_the_recipes_model_revises(
    recipe: Path, tmp_path: Path, planted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_rules = REVISE.replace("rounds: 2", "rounds: 2, critic: rules, principles: [style.zeta]")
    prompts = [f'{{"prompt": "{text}"}}' for text in ("Dig a well.", "No bell.")]
    (tmp_path / "train.jsonl").write_text("\n".join(prompts), "utf-8")
    parsed = written(recipe, by_rules)
    assert preflight(parsed)["revise critic"] == "rules"
    monkeypatch.setattr(Planted, "first", "Dig deep, then deeper.")
    result = run_recipe(parsed, tmp_path / "run")
    counts = result["stages"]["revise"]["counts"]
    assert planted == ["model"] and counts["rounds"] == 2 == counts["revisions used"] == counts["rows"]
    one = read_jsonl(tmp_path / "run" / "stages" / "1-revise" / "sft.jsonl")[0]
    assert one["criticised_by"] == "rules" and one["revised_by"] == "planted"
    assert one["completion"][0]["content"] == "So dig deep, then deeper."


@pytest.mark.parametrize("option", ["few_shot: false", "max_critique_length: 9", "only_better: true"])
def test_rules_as_the_critic_take_no_option_of_a_model(recipe: Path, option: str) -> None:
    with pytest.raises(ConfigError, match="has no effect with critic: rules"):
        written(recipe, REVISE.replace("rounds: 2", f"critic: rules, {option}"))


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("  - train: {algorithm: sft}\n", "or compare or revise before it"),
        (REVISE + "  - train: {algorithm: kto}\n", "revise makes no data for kto"),
        (REVISE + REVISE, "appears twice"),
        ("  - revise: {rounds: 2}\n", "missing key 'prompts'"),
        ("  - revise: {prompts: train.jsonl, round: 2}\n", "did you mean 'rounds'"),
        (
            "  - sample: {prompts: train.jsonl}\n  - judge: {}\n  - compare: {}\n"
            + REVISE
            + "  - train: {algorithm: dpo}\n",
            "both make data",
        ),
    ],
)
def test_recipes_that_cannot_be(recipe: Path, stages: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        written(recipe, stages)


def test_mistakes_found_before_a_model_loads(recipe: Path) -> None:
    for change, words in (
        ("prompts: heldout.jsonl", "held-out prompts are also training prompts"),
        ("prompts: train.jsonl, principles: [style.kin]", "did you mean 'style.kind'"),
        ("prompts: none.jsonl", "no such file"),
        ("prompts: train.jsonl, critic: rules, principles: [style.kind]", "cannot criticise anything"),
    ):
        stages = f"  - revise: {{{change}}}\n  - evaluate: {{prompts: heldout.jsonl}}\n"
        with pytest.raises(CharterError, match=words):
            preflight(written(recipe, stages))
    with pytest.raises(ConfigError, match="revise needs a constitution"):
        recipe.write_text("name: x\nstages:\n" + REVISE, "utf-8")
        Recipe.load(recipe)
