"""The evaluate stage with a judge: named in the recipe, checked before a model loads, in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import charter
from charter.constitution import Constitution
from charter.engines.scripted import ScriptedEngine
from charter.errors import CharterError, Interrupted
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Limits
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.pipeline.runner import run_recipe
from charter.rundir import read_jsonl, write_json
from charter.stats.judge_rate import JudgeErrors
from charter.testing.endpoint import FakeEndpoint, say

ONLY = """name: tiny
model: model
constitution: house.constitution.md
threads: 1
stages:
  - evaluate: {{prompts: heldout.jsonl, max_completion_length: 8, judge: "{judge}", card: card.json,
               run: old.jsonl}}
  - report: {{}}
"""


def write_card(root: Path, judge: str) -> None:
    law = Constitution.load(root / "house.constitution.md")
    one = PrincipleCard(
        "style.kind", "", law.principle("style.kind").sha, "calibrated", "", (), JudgeErrors(60, 54, 60, 9)
    )
    write_json(root / "card.json", JudgeCard(judge, law.name, law.sha, Limits(), (), (one,)).to_json())


def test_a_recipe_evaluates_with_a_judge(recipe: Path) -> None:
    root = recipe.parent
    with FakeEndpoint([say("Yes")]) as fake:
        judge = f"endpoint:other@{fake.url}"
        write_card(root, f"{judge} (per_principle)")
        (root / "old.jsonl").write_text('{"prompt": "Say b1.", "principles": ["style.kind"]}\n', "utf-8")
        recipe.write_text(ONLY.format(judge=judge), "utf-8")
        parsed = Recipe.load(recipe)
        assert preflight(parsed)["evaluate judge"] == f"{judge} (per_principle)"
        assert not fake.requests
        run_recipe(parsed, root / "run")
        again = run_recipe(parsed, root / "run")
        assert again["stages"]["evaluate"].get("skipped")
        write_card(root, f"{judge} (rubric)")
        changed = run_recipe(Recipe.load(recipe), root / "run")
        assert not changed["stages"]["evaluate"].get("skipped")
    report = json.loads((root / "run" / "report.json").read_text("utf-8"))
    rows = {row["principle"]: row for row in report["adherence"]["principles"]}
    assert rows["style.kind"]["judge"]["evidence"] == "calibrated"
    assert rows["style.words"]["judge"]["evidence"] == "exact"
    assert report["limits"]["training"]["prompts_exact"] == 1
    assert {one["principle"]: one["groups"] for one in report["attribution"]["principles"]} == {
        "style.words": 0,
        "style.zeta": 0,
        "style.kind": 1,
    }
    assert report["judge"]["name"].startswith("endpoint:other@")
    (folder,) = (root / "run" / "stages").glob("1-evaluate")
    assert read_jsonl(folder / "answers.jsonl") and (folder / "judge_card.json").exists()


@pytest.mark.parametrize("declared", [False, True])
def test_a_recipe_declares_that_labels_were_drawn_at_random(recipe: Path, declared: bool) -> None:
    from charter.pipeline.stages.given import given_of

    root = recipe.parent
    row = {"principle": "style.kind", "prompt": "Say b1.", "completion": "Yes.", "label": True}
    (root / "people.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    stage = "labels: people.jsonl, labels_random: true" if declared else "labels: people.jsonl"
    recipe.write_text(
        "name: t\nmodel: model\nconstitution: house.constitution.md\nstages:\n"
        f"  - evaluate: {{prompts: heldout.jsonl, judge: 'endpoint:other@http://x/v1', {stage}}}\n",
        "utf-8",
    )
    parsed = Recipe.load(recipe)
    law = Constitution.load(root / "house.constitution.md")
    given = given_of(parsed, parsed.stages[0][1], law)
    assert given.labels is not None
    assert [one.random for one in given.labels.answers] == [declared]


PANEL = """name: tiny
model: model
constitution: house.constitution.md
threads: 1
stages:
  - evaluate: {{prompts: heldout.jsonl, max_completion_length: 8, judge: ["{a}", "{b}"],
               card: [card.json, second.json]}}
"""


def test_a_recipe_names_a_panel_and_each_card_decides_the_stage(recipe: Path) -> None:
    root = recipe.parent
    law = root / "house.constitution.md"
    law.write_text(
        law.read_text("utf-8").replace("version: 0.1.0", "version: 0.1.0\njudge: {panel_min: 2, seeds: 1}"),
        "utf-8",
    )
    with FakeEndpoint([say("Yes")]) as fake:
        a, b = (f"endpoint:{name}@{fake.url}" for name in ("one", "two"))
        for name, judge in (("second.json", b), ("card.json", a)):
            write_card(root, f"{judge} (per_principle)")
            (root / "card.json").replace(root / name)
        recipe.write_text(PANEL.format(a=a, b=b), "utf-8")
        parsed = Recipe.load(recipe)
        assert preflight(parsed)["evaluate judge"] == f"{a}+{b} (per_principle)"
        run_recipe(parsed, root / "run")
        assert {request.body["model"] for request in fake.requests} == {"one", "two"}
        assert run_recipe(Recipe.load(recipe), root / "run")["stages"]["evaluate"].get("skipped")
        card = root / "second.json"
        card.write_text(card.read_text("utf-8").replace('"calibrated"', '"refused"'), "utf-8")
        changed = run_recipe(Recipe.load(recipe), root / "run")["stages"]["evaluate"]
        assert not changed.get("skipped")
    (folder,) = (root / "run" / "stages").glob("1-evaluate")
    assert (folder / "judge_card.2.json").is_file()
    (kind,) = [
        row
        for row in json.loads((folder / "evaluation.json").read_text("utf-8"))["adherence"]["principles"]
        if row["principle"] == "style.kind"
    ]
    assert kind["after"] is None and "1 of 2 judges may judge it" in kind["why"]


def test_a_stopped_stage_goes_on_where_it_was(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.evaluation import evaluate as module
    from charter.evaluation.answers import kept as kept_engine
    from charter.testing import tiny_tokenizer

    given: list[int] = []
    stop = [True]

    class Stopped(ScriptedEngine):
        def generate(self, contexts: Any, *rest: Any, **more: Any) -> Any:
            if stop[0] and sum(given) >= 4:
                raise Interrupted("stopped")
            given.append(len(contexts))
            return super().generate(contexts, *rest, **more)

    monkeypatch.setattr(kept_engine, "AT_ONCE", 2)
    monkeypatch.setattr(
        module, "_engine", lambda *_: Stopped(lambda text, n: "yes yes yes", tiny_tokenizer(), name="policy")
    )
    recipe.write_text(
        "name: t\nmodel: model\nconstitution: house.constitution.md\nthreads: 1\nstages:\n"
        "  - evaluate: {prompts: heldout.jsonl, max_completion_length: 8}\n",
        "utf-8",
    )
    with pytest.raises(Interrupted) as error:
        run_recipe(Recipe.load(recipe), recipe.parent / "run")
    assert "1-evaluate" in str(error.value.fix) and sum(given) == 4
    given.clear()
    stop[0] = False
    run_recipe(Recipe.load(recipe), recipe.parent / "run")
    assert sum(given) == 2  # of six prompts
    evidence = json.loads((recipe.parent / "run/stages/1-evaluate/evaluation.json").read_text("utf-8"))
    assert evidence["prompts"] == 6 and evidence["sampling"]["max_completion_length"] == 8


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("{prompts: heldout.jsonl, judge: []}", "judge is an empty list"),
        ("{prompts: heldout.jsonl, judge: [model, model]}", "the same judge twice"),
        ("{prompts: heldout.jsonl, card: card.json}", "card has no effect without a judge"),
        ("{prompts: heldout.jsonl, labels_random: true}", "labels_random has no effect without labels"),
        ("{prompts: heldout.jsonl, judge: model}", "family of the model"),
        ("{prompts: heldout.jsonl, judge: nowhere}", "nowhere"),
        ("{prompts: heldout.jsonl, judge: model, card: none.json}", "no such judge card"),
        ("{prompts: heldout.jsonl, since: none.json}", "no such report"),
    ],
)
def test_mistakes_are_found_before_a_model_loads(recipe: Path, stage: str, words: str) -> None:
    recipe.write_text(
        f"name: t\nmodel: model\nconstitution: house.constitution.md\nstages:\n  - evaluate: {stage}\n",
        "utf-8",
    )
    with pytest.raises(CharterError, match=words):
        preflight(Recipe.load(recipe))


def test_before_is_the_recipes_model_also_where_training_merged_an_adapter(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """sDPO's last adapter lies on what its first stage made; evidence is of the whole training."""
    written, found = recipe.read_text("utf-8"), {}
    for algorithm in ("dpo", "sdpo"):
        change = written.replace("algorithm: dpo,", f"algorithm: {algorithm}, beta: 0.1,")
        recipe.write_text(change.replace("learning_rate: 1.0e-3", "learning_rate: 0.05"), "utf-8")
        run_recipe(Recipe.load(recipe), recipe.parent / algorithm)
        folder = recipe.parent / algorithm / "stages" / "5-evaluate"
        found[algorithm] = [
            [
                [sample["completion"]["token_ids"] for sample in row["samples"]]
                for row in read_jsonl(folder / f"{name}.jsonl")
            ]
            for name in ("base_answers", "answers")
        ]
    assert (recipe.parent / "sdpo" / "model" / "base").is_dir()
    assert found["sdpo"][0] == found["dpo"][0] != found["sdpo"][1]
    capsys.readouterr()
    for algorithm, told in (("dpo", False), ("sdpo", True)):
        charter.evaluate(
            recipe.parent / algorithm / "model",
            recipe.parent / "house.constitution.md",
            prompts=str(recipe.parent / "heldout.jsonl"),
            max_completion_length=4,
        )
        assert (
            "before: the model under this adapter, which was trained too" in capsys.readouterr().err
        ) is told
