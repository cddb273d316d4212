"""What each arm of the constitutional study runs, on which files."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from charter.constitution import Constitution
from charter.constitutions import path_of
from charter.evaluation.judges.concern import TESTS_OF
from charter.rundir import read_json, write_jsonl, write_text

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "recipes"
SPEC = ROOT / "tests" / "constitution" / "data"
HELD_OUT = RECIPES / "quickstart" / "heldout.jsonl"
CONSTITUTION = RECIPES / "quickstart.constitution.md"

RUNS = {
    "rules-dpo": "quickstart.yaml",
    "constitutional-ai": "constitutional-ai.yaml",
    "self-critique": "constitutional-ai.yaml",
}
"""Arms that are a recipe."""

SELF = "self-critique"
REVISED = ("constitutional-ai", SELF)
"""Arms that train on revisions."""

SELF_CRITIQUE = {"critic": None, "rounds": 2, "only_better": True, "max_critique_length": 96}
"""What that arm revises by: the model is its own critic, and the rules only keep what they find better."""

MAX_TOKENS = 128
"""Most tokens of a measured answer, in the recipes as well."""

TESTS_EACH = 2
"""Tests drawn from each principle of the Model Spec that has any."""

_ASKS = ("user", "tool")
"""Whose turn a prompt ends in."""

_FILES = ("prompts", "data", "eval_data", "unrelated", "ptx_data", "card", "labels", "since")
"""Keys of a stage that are files beside the recipe."""


@dataclass(frozen=True)
class Command:
    """One command, and how it is known to have worked.

    Attributes:
        words: after ``charter``.
        makes: the file it leaves, which must be new.
        output: file for what it prints; None = the arm's log.
        first: what must be there before it can run.
    """

    words: tuple[str, ...]
    makes: Path
    output: Path | None = None
    first: Callable[[], None] | None = None

    @property
    def codes(self) -> tuple[int, ...]:
        """Exit codes of a command that worked: those that measure also end with 1 and 6."""
        return (0, 1, 6) if any(self.words[: len(one)] == one for one in _MEASURE) else (0,)

    @property
    def typed(self) -> str:
        """As a person would type it in the repository's folder."""
        return f"charter {' '.join(self.words)}".replace(f"{ROOT}/", "")


_MEASURE = (("run",), ("evaluate",), ("judge-card",), ("constitution", "lint"))


@dataclass(frozen=True)
class Arm:
    """Commands, one after the other, and what a reader of the results must know of them."""

    commands: tuple[Command, ...]
    notes: tuple[str, ...] = field(default=())


def arm_of(name: str, folder: Path, model: str, judges: Sequence[str] = ()) -> Arm:
    """An arm by its name.

    Args:
        name: see :data:`constitutional_page.ARMS`.
        folder: of the arm; its report ends there.
        model: that is aligned and measured.
        judges: beside the distilled one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.json"
    if name in RUNS:
        recipe = recipe_for(name, folder, model)
        return Arm((Command(("run", str(recipe), "--output-dir", str(folder)), report),))
    if name in ("prompted", "urial"):
        around = ("--system-prompt", str(CONSTITUTION)) if name == "prompted" else ("--in-context", "urial")
        return Arm((evaluated(model, folder, CONSTITUTION, (*around, "--prompts", str(HELD_OUT))),))
    if name == "assistant":
        law, notes = law_for(path_of("assistant"), folder, 1 + len(judges))
        return _judged(folder, model, judges, law, notes=notes)
    law = folder / "model-spec.constitution.md"
    sample = folder / "tests.jsonl"
    told = (
        f"it was asked {TESTS_EACH} tests, drawn once, of each principle that has any, and none that ends in "
        "a system's turn, which no file of prompts holds"
    )
    asked, first = ("--prompts", str(sample)), partial(write_tests, law, sample)
    judged = _judged(folder, model, judges, law, asked, first, (told,))
    return Arm((*imported(law, folder), *judged.commands), judged.notes)


def imported(law: Path, folder: Path) -> tuple[Command, ...]:
    """The Model Spec as a constitution, what could not come along, and what the linter says."""
    source = ("constitution", "import", str(SPEC / "model_spec.md"), "--format", "model-spec")
    tests = ("--tests", str(SPEC / "model_spec_examples"), "--licence", "CC0-1.0")
    told, lint = folder / "import.json", folder / "lint.json"
    return (
        Command((*source, *tests, "--output", str(law), "--force", "--json"), law, told),
        Command(("constitution", "lint", str(law), "--json"), lint, lint),
    )


def _judged(
    folder: Path,
    model: str,
    judges: Sequence[str],
    law: Path,
    asked: Sequence[str] = (),
    first: Callable[[], None] | None = None,
    notes: tuple[str, ...] = (),
) -> Arm:
    """A judge distilled from the constitution's own examples, its card, and what it measures."""
    judge, card = folder / "judge", folder / "card.json"
    made = Command(
        ("distil-judge", str(law), "--out", str(judge), "--model", model), judge / "distilled_judge.json"
    )
    if judges:  # a panel is examined as a whole, by the command that asks it
        panel = [word for one in (str(judge), *judges) for word in ("--judge", one)]
        told = f"a panel judged: a judge distilled from the examples, {', '.join(judges)}"
        return Arm((made, evaluated(model, folder, law, (*panel, *asked), first)), (*notes, told))
    carded = Command(("judge-card", str(judge), "--constitution", str(law), "--output", str(card)), card)
    last = evaluated(model, folder, law, ("--judge", str(judge), "--card", str(card), *asked), first)
    return Arm((made, carded, last), notes)


def evaluated(
    model: str, folder: Path, law: Path, more: Sequence[str], first: Callable[[], None] | None = None
) -> Command:
    """``charter evaluate`` with a report in the arm's folder."""
    told = ("--max-completion-length", str(MAX_TOKENS), "--out", str(folder))
    words = ("evaluate", model, "--constitution", str(law), *more, *told)
    return Command(words, folder / "report.json", first=first)


def values_of(name: str) -> Row:
    """The recipe of an arm."""
    values: Row = yaml.safe_load((RECIPES / RUNS[name]).read_text("utf-8"))
    if name == SELF:
        for stage in values["stages"]:
            if "revise" in stage:
                stage["revise"] |= SELF_CRITIQUE
    return values


def recipe_for(name: str, folder: Path, model: str) -> Path:
    """The shipped recipe where it is the arm's and about that model, else a copy that is."""
    recipe, values = RECIPES / RUNS[name], values_of(name)
    if values["model"] == model and name != SELF:
        return recipe
    beside = Path(model).expanduser()
    values["model"] = str(beside.resolve()) if beside.exists() else model
    values["constitution"] = str(recipe.parent / values["constitution"])
    for stage in values["stages"]:
        for options in stage.values():
            options |= {key: str(recipe.parent / options[key]) for key in _FILES if key in options}
    copy = folder / f"{name}.yaml"
    write_text(copy, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return copy


def law_for(law: Path, folder: Path, judges: int) -> tuple[Path, tuple[str, ...]]:
    """The constitution itself where its panel can sit, else a copy that asks for fewer judges."""
    constitution = Constitution.load(law)
    wanted = constitution.judge.panel_min
    if wanted <= judges:
        return law, ()
    text = law.read_text("utf-8")
    head, end, rest = text.partition("\n---")
    asks = f"panel_min: {wanted}"
    if head.count(asks) != 1:
        raise ValueError(f"{law} does not say `{asks}` once in its front matter")
    copy = folder / law.name
    write_text(copy, head.replace(asks, f"panel_min: {judges}") + end + rest)
    note = (
        f"the constitution asks for a panel of {wanted} judges and {judges} was at hand, so a copy with "
        f"`panel_min: {judges}` was measured"
    )
    return copy, (note,)


def write_tests(law: Path, path: Path) -> None:
    """Tests of a constitution as prompts, :data:`TESTS_EACH` drawn from each principle, always the same."""
    constitution = Constitution.load(law)
    drawn = random.Random(0)
    rows: list[Row] = []
    for principle in constitution.active:
        cases = [case for case in principle.tests if case.conversations()[0][-1].role in _ASKS]
        chosen = drawn.sample(range(len(cases)), min(TESTS_EACH, len(cases)))
        for case in (cases[index] for index in sorted(chosen)):
            turns = case.conversations()[0]
            rows.append(
                {
                    "id": f"{principle.id}/{case.id}",
                    "prompt": [{"role": turn.role, "content": turn.content} for turn in turns],
                    "tags": list(case.config.tags),
                    TESTS_OF: [principle.id],  # so that no other principle is judged on it
                }
            )
    write_jsonl(path, rows)


def outcome_without_report(name: str, folder: Path) -> Row | None:
    """What an arm found that could not go on to its report; None = it found nothing.

    Constitutional AI on a model whose revisions are never better than its answers has nothing to train on.
    """
    if name not in REVISED:
        return None
    made = revisions(folder)
    if made is None or made["counts"].get("rows") != 0:
        return None
    return {"why": "no revision was better by the rules than the answer it revised", **made}


def revisions_file(folder: Path) -> Path:
    """Where a run says what became of its revisions."""
    return folder / "stages" / "1-revise" / "summary.json"


def revisions(folder: Path) -> Row | None:
    """What became of the revisions of a run; None = it made none."""
    found = read_json(revisions_file(folder))
    return None if found is None else {"counts": found["counts"], "line": found["line"]}
