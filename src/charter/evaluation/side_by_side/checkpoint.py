"""One evaluated checkpoint, as a run directory or an evaluate stage left it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from charter.errors import DataError, UserError
from charter.evaluation.rates.verdicts import PrincipleInfo, PromptVerdicts, read_verdicts
from charter.records import read_groups
from charter.rundir import read_json
from charter.types import Group, SampleTarget

EVALUATION, ANSWERS, BASE_ANSWERS = "evaluation.json", "answers.jsonl", "base_answers.jsonl"
BASE = ":base"
"""Behind a directory: the model before alignment, as that run answered with it."""

HOW = ("temperature", "max_completion_length")
"""What a sampling must share, beside the number of answers, for two rates to be compared."""


@dataclass(frozen=True)
class Checkpoint:
    """A model's judged answers to held-out prompts.

    Attributes:
        name: what it is called here.
        principles: those it was judged under, in the constitution's order.
        groups: its judged answers.
        constitution_sha: of the whole constitution; "" = not recorded.
        sampling: how the answers were made; a key that is missing was not recorded.
        health: measures beside adherence, by name.
        where: the directory.
    """

    name: str
    principles: tuple[PrincipleInfo, ...]
    groups: tuple[Group, ...]
    constitution_sha: str = ""
    sampling: Mapping[str, float] = field(default_factory=dict)
    health: Mapping[str, float] = field(default_factory=dict)
    where: str = ""

    @cached_property
    def verdicts(self) -> dict[str, PromptVerdicts]:
        """The verdicts of every prompt, by its id.

        Raises:
            DataError: see :func:`charter.evaluation.rates.verdicts.read_verdicts`.
        """
        return read_verdicts(self.groups, self.principles, which=self.name)

    @cached_property
    def infos(self) -> dict[str, PrincipleInfo]:
        """The principles by id."""
        return {info.id: info for info in self.principles}

    @cached_property
    def judges(self) -> dict[str, frozenset[str]]:
        """Who gave the verdicts, by principle."""
        found: dict[str, set[str]] = {}
        for group in self.groups:
            for one in group.judgements:
                if one.value is not None and isinstance(one.target, SampleTarget):
                    found.setdefault(one.principle, set()).add(one.judge)
        return {principle: frozenset(names) for principle, names in found.items()}

    @property
    def answers_per_prompt(self) -> int:
        """The most frequent number of answers to a prompt."""
        return Counter(len(group.samples) for group in self.groups).most_common(1)[0][0]


def read_checkpoints(
    specs: Sequence[str], *, sampling_defaults: Mapping[str, float] | None = None
) -> list[Checkpoint]:
    """The checkpoints that ``specs`` name, in that order; see :func:`read_checkpoint`.

    Raises:
        UserError: fewer than two, or two of one name.
    """
    if len(specs) < 2:
        raise UserError(
            "side by side needs at least two evaluated checkpoints", fix="name two run directories"
        )
    named = [_named(spec) for spec in specs]
    short = Counter(name for name, _ in named)
    # Two runs whose folders are called alike keep their whole path.
    names = [name if short[name] == 1 else path for name, path in named]
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise UserError(f"{twice[0]!r} is named twice", fix="write NAME=DIRECTORY to tell them apart")
    return [
        read_checkpoint(path, name, sampling_defaults=sampling_defaults)
        for name, (_, path) in zip(names, named, strict=True)
    ]


def read_checkpoint(
    path: str, name: str, *, sampling_defaults: Mapping[str, float] | None = None
) -> Checkpoint:
    """Read what an evaluation wrote.

    Args:
        path: a run directory, or the folder that holds ``evaluation.json`` and ``answers.jsonl``; with
            ``:base`` behind it the model before alignment.
        name: what to call it.
        sampling_defaults: what a recipe's evaluate stage means where it names nothing.

    Raises:
        UserError: nothing was evaluated there.
        DataError: the files do not fit together.
    """
    base = path.endswith(BASE)
    folder = Path(path.removesuffix(BASE)).expanduser()
    stage = _stage(folder)
    evaluation = read_json(stage / EVALUATION)
    if evaluation is None:
        raise UserError("not a JSON object", where=str(stage / EVALUATION), fix="evaluate again")
    answers = stage / (BASE_ANSWERS if base else ANSWERS)
    if not answers.is_file():
        what = "the run has no answers of a base model" if base else "there are no judged answers"
        raise UserError(what, where=str(answers), fix="evaluate again")
    groups = read_groups(answers)
    if not groups:
        raise DataError("no judged answers", where=str(answers), fix="evaluate again")
    run = folder if (folder / "report.json").is_file() else stage.parent.parent
    report = read_json(run / "report.json") or {}
    side = "before" if base else "after"
    return Checkpoint(
        name,
        _principles(evaluation, groups, str(stage / EVALUATION)),
        tuple(groups),
        str((report.get("constitution") or {}).get("sha") or ""),
        _sampling(evaluation, run, sampling_defaults or {}),
        {
            row["measure"]: float(row[side])
            for row in evaluation.get("health") or ()
            if isinstance(row.get(side), int | float)
        },
        str(stage),
    )


def _named(spec: str) -> tuple[str, str]:
    """Name and path of ``NAME=PATH`` or ``PATH``."""
    name, equals, path = spec.partition("=")
    if equals and name and path and "/" not in name:
        return name, path
    bare = Path(spec.removesuffix(BASE))
    return (bare.resolve().name or spec) + (BASE if spec.endswith(BASE) else ""), spec


def _stage(folder: Path) -> Path:
    """The folder with ``evaluation.json``: itself, or the last stage of a run that has one."""
    if (folder / EVALUATION).is_file():
        return folder
    if not folder.is_dir():
        raise UserError("no such directory", where=str(folder), fix="name an evaluated run")
    stages = [one.parent for one in folder.glob(f"stages/*/{EVALUATION}")]
    if not stages:
        raise UserError(
            "nothing was evaluated here",
            where=str(folder),
            fix="run a recipe with an evaluate stage, or name the folder with its evaluation.json",
        )
    return max(stages, key=lambda one: int(one.name.partition("-")[0]) if one.name[:1].isdigit() else 0)


def _principles(
    evaluation: Mapping[str, Any], groups: Sequence[Group], where: str
) -> tuple[PrincipleInfo, ...]:
    weights = {one.principle: one.weight for group in groups for one in group.judgements}
    try:
        return tuple(
            PrincipleInfo(
                row["principle"], row["title"], row["level"], row["sha"], weights.get(row["principle"], 1.0)
            )
            for row in evaluation["adherence"]["principles"]
        )
    except (KeyError, TypeError) as error:
        raise DataError(
            f"not what an evaluation writes ({type(error).__name__}: {error})",
            where=where,
            fix="evaluate again",
        ) from None


def _sampling(evaluation: Mapping[str, Any], run: Path, defaults: Mapping[str, float]) -> dict[str, float]:
    """How the answers were made: as the evaluation says, else as a recipe does; empty = not recorded."""
    said = evaluation.get("sampling")
    if not isinstance(said, Mapping) or not said:
        said = _of_recipe(run, defaults)
    return {key: float(said[key]) for key in HOW if isinstance(said.get(key), int | float)}


def _of_recipe(run: Path, defaults: Mapping[str, float]) -> dict[str, Any]:
    """What the recipe of a run says about sampling; empty where there is no recipe."""
    import yaml

    try:
        recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
        stages = [stage["evaluate"] or {} for stage in recipe["stages"] if "evaluate" in stage]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return {}
    return {**defaults, **json.loads(json.dumps(stages[-1], default=str))} if stages else {}
