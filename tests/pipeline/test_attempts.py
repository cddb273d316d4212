"""Time over several attempts, and a report in which every stage stands with its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.errors import Interrupted
from charter.pipeline import attempts as module
from charter.pipeline.attempts import FILE, Attempts, Spent, told
from charter.pipeline.recipe import Recipe
from charter.pipeline.runner import run_recipe
from charter.rundir import read_json, write_json


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def attempt(folder: Path, clock: Clock, seconds: float) -> Attempts:
    found = Attempts(folder)
    found.begin()
    clock.now += seconds
    return found


def test_one_attempt_is_just_its_seconds(tmp_path: Path, clock: Clock) -> None:
    spent = attempt(tmp_path, clock, 3.0).spent()
    assert spent == Spent(3.0, 1, 0) and spent.to_json() == {"seconds": 3.0}
    assert told(spent.to_json()) == ""


def test_an_attempt_that_was_stopped_counts(tmp_path: Path, clock: Clock) -> None:
    attempt(tmp_path, clock, 5.0).stop()
    clock.now += 1000  # between attempts nothing is spent
    spent = attempt(tmp_path, clock, 2.0).spent()
    assert spent == Spent(7.0, 2, 0)
    assert told(spent.to_json()) == "in 2 attempts"


def test_an_attempt_that_was_killed_is_known_of(tmp_path: Path, clock: Clock) -> None:
    attempt(tmp_path, clock, 5.0)  # and nothing more is heard of it
    spent = attempt(tmp_path, clock, 2.0).spent()
    assert spent == Spent(2.0, 2, 1)
    assert told(spent.to_json()) == "in 2 attempts, 1 of them killed and not timed"


def test_what_is_done_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    done = attempt(tmp_path, clock, 5.0)
    done.forget()
    assert not (tmp_path / FILE).exists()
    assert attempt(tmp_path, clock, 1.0).spent() == Spent(1.0, 1, 0)


HEAD = "name: tiny\nmodel: model\nconstitution: house.constitution.md\nthreads: 1\nstages:\n"
STAGES = """  - train: {name: imitate, algorithm: sft, data: rows.jsonl, max_steps: 1, use_peft: true,
            per_device_train_batch_size: 2, bf16: false}
  - train: {name: prefer, algorithm: dpo, data: pairs.jsonl, model: "{imitate}", max_steps: 2, use_peft: true,
            per_device_train_batch_size: 2, bf16: false}
  - evaluate: {prompts: heldout.jsonl, max_completion_length: 6}
  - report: {}
"""


@pytest.fixture
def twice_trained(recipe: Path) -> Recipe:
    rows = [{"prompt": f"Say {i}.", "completion": " yes"} for i in range(4)]
    pairs = [{"prompt": f"{i}?", "chosen": " yes", "rejected": " no"} for i in range(4)]
    for name, values in (("rows", rows), ("pairs", pairs)):
        text = "".join(json.dumps(value) + "\n" for value in values)
        (recipe.parent / f"{name}.jsonl").write_text(text, "utf-8")
    recipe.write_text(HEAD + STAGES, "utf-8")
    return Recipe.load(recipe)


def stages_of(run: Path) -> list[dict]:
    return json.loads((run / "report.json").read_text("utf-8"))["stages"]


def test_two_train_stages_each_show_their_own(
    twice_trained: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"

    def evaluate_once(*args: object) -> None:
        raise Interrupted("stopped")

    with monkeypatch.context() as patched:
        patched.setitem(run_recipe.__globals__["RUNNERS"], "evaluate", evaluate_once)
        with pytest.raises(Interrupted):
            run_recipe(twice_trained, run)
    # As if the first attempt at evaluating had taken a quarter of an hour, and one before it was killed.
    write_json(run / "stages" / "3-evaluate" / FILE, {"seconds": 900.0, "begun": 2, "ended": 1})
    run_recipe(twice_trained, run)
    imitate, prefer, evaluate = stages_of(run)
    assert [one["name"] for one in (imitate, prefer, evaluate)] == [
        "train imitate",
        "train prefer",
        "evaluate",
    ]
    assert imitate["summary"].startswith("1 of 1 steps") and prefer["summary"].startswith("2 of 2 steps")
    seconds = [read_json(run / "stages" / f"{n}-train" / "done.json")["seconds"] for n in (1, 2)]
    assert [imitate["seconds"], prefer["seconds"]] == seconds
    assert imitate["skipped"] and prefer["skipped"] and not evaluate["skipped"]
    assert evaluate["seconds"] > 900 and "in 3 attempts, 1 of them killed" in evaluate["summary"]
    assert not (run / "stages" / "3-evaluate" / FILE).exists()


def test_an_error_is_timed_as_well(
    twice_trained: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setitem(run_recipe.__globals__["RUNNERS"], "train", broken)
    for number in (1, 2):
        with pytest.raises(RuntimeError, match="a mistake"):
            run_recipe(twice_trained, tmp_path / "run")
        kept = read_json(tmp_path / "run" / "stages" / "1-train" / FILE)
        assert (kept["begun"], kept["ended"]) == (number, number)
