"""A finished evaluation, from what it left on disk; Inspect is not needed for this."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from charter.constitution import Constitution
from charter.errors import DataError, UserError
from charter.evaluation.rates.adherence import adherence
from charter.evaluation.rates.basis import Basis, bases_of
from charter.evaluation.rates.verdicts import PrincipleInfo
from charter.records import is_groups_file, read_groups
from charter.rundir import read_json
from charter.types import Group

if TYPE_CHECKING:
    from charter.evaluation.evaluate import Evaluation

Side = Literal["aligned", "base"]
"""Which model's answers: that in question, or the one before alignment."""

ANSWERS: dict[Side, str] = {"aligned": "answers.jsonl", "base": "base_answers.jsonl"}
NO_CARD = "no card says how often this judge errs"


@dataclass(frozen=True)
class Results:
    """Judged answers of one model, and what was found of them.

    Attributes:
        groups: the judged answers.
        adherence: the card as plain data; see ``reporting/schema.md``.
        constitution: ``name``, ``version`` and ``sha``.
        model: its name.
        side: whose answers these are.
        health: measures that stand beside adherence.
        flags: what is wrong with the model.
        created: when it was evaluated, ISO 8601; "" = not known.
    """

    groups: tuple[Group, ...]
    adherence: Mapping[str, Any]
    constitution: Mapping[str, str]
    model: str
    side: Side = "aligned"
    health: Sequence[Mapping[str, Any]] = ()
    flags: Sequence[str] = ()
    created: str = ""


def results_of(
    evaluation: Evaluation, constitution: Constitution, model: str, side: Side = "aligned"
) -> Results:
    """An evaluation that is still in memory.

    Raises:
        UserError: there is no base model's side.
    """
    groups = evaluation.after if side == "aligned" else evaluation.before
    if groups is None:
        raise UserError("one model alone was evaluated: there is no base", where=model)
    card = json.loads(json.dumps(evaluation.card.to_json()))
    return Results(groups, card, _identity(constitution), model, side, evaluation.health, evaluation.flags)


def read_results(path: Path, constitution: Constitution | None = None, side: Side = "aligned") -> Results:
    """What an evaluation left: a run, the directory of ``charter evaluate --out``, or a judged file.

    Args:
        path: which.
        constitution: under what it was judged; needed where no report says it.
        side: whose answers.

    Raises:
        UserError: nothing was evaluated there, or there is no base model.
        DataError: the files do not fit together, or it was another constitution.
    """
    if path.is_file():
        return _judged_file(path, constitution, side)
    folder = _folder(path)
    answers = folder / ANSWERS[side]
    if not answers.is_file():
        what = "there is no base model's side" if side == "base" else "there are no judged answers"
        raise UserError(what, where=str(answers), fix="evaluate again, with --against for a base")
    report = read_json(path / "report.json") or read_json(folder / "report.json") or {}
    found = read_json(folder / "evaluation.json") or report
    if "adherence" not in found:
        raise DataError("no evaluation.json and no report.json says what was found", where=str(folder))
    named = dict(report.get("constitution") or {})
    known = {key: str(named.get(key) or "") for key in ("name", "version", "sha")}
    if constitution is not None:
        given = _identity(constitution)
        if known["sha"] and known["sha"] != given["sha"]:
            raise DataError(
                f"{constitution.path} is not the constitution of this evaluation",
                where=str(path),
                fix="leave --constitution out: the report names it",
            )
        known = given
    if not known["sha"]:
        raise UserError(
            "nothing here says which constitution it was", where=str(path), fix="name it with --constitution"
        )
    models = report.get("models") or {}
    name = (models.get(side) or {}).get("name") or (read_json(path / "manifest.json") or {}).get("model")
    return Results(
        tuple(read_groups(answers)),
        found["adherence"],
        known,
        str(name or path.resolve().name),
        side,
        found.get("health") or (),
        found.get("flags") or (),
        str(report.get("created") or ""),
    )


def _folder(path: Path) -> Path:
    """The folder with the answers: itself, or the last evaluate stage of a run."""
    if not path.is_dir():
        raise UserError("no such file or directory", where=str(path), fix="name an evaluated run")
    if (path / ANSWERS["aligned"]).is_file():
        return path
    stages = [one.parent for one in path.glob(f"stages/*/{ANSWERS['aligned']}")]
    if not stages:
        raise UserError(
            "nothing was evaluated here",
            where=str(path),
            fix="run `charter evaluate --out DIR`, or a recipe with an evaluate stage",
        )
    return max(stages, key=lambda one: int(one.name.partition("-")[0]) if one.name[:1].isdigit() else 0)


def _judged_file(path: Path, constitution: Constitution | None, side: Side) -> Results:
    if side == "base":
        raise UserError("a file of judged samples has one side", where=str(path))
    if constitution is None:
        raise UserError(
            "a file of judged samples needs the constitution it was judged under",
            where=str(path),
            fix="name it with --constitution",
        )
    if not is_groups_file(path):
        raise UserError("not a file of judged samples", where=str(path), fix="write it with `charter judge`")
    groups = tuple(read_groups(path))
    by = {one.sampled_by for group in groups for one in (sample.completion for sample in group.samples)}
    return measured(groups, constitution, "+".join(sorted(by)) or path.stem)


def measured(groups: Sequence[Group], constitution: Constitution, model: str) -> Results:
    """Measure judged groups: rules are exact, judges without a card are shown and never claimed."""
    from charter.evaluation.evaluate import gates_of

    infos = [PrincipleInfo(p.id, p.title, p.level, p.sha, p.weight) for p in constitution.active]
    card = adherence(
        groups,
        infos,
        gates=gates_of(constitution),
        bases=_bases(groups, constitution),
        levels=constitution.levels,
    )
    plain = json.loads(json.dumps(card.to_json()))
    return Results(tuple(groups), plain, _identity(constitution), model)


def _bases(groups: Sequence[Group], constitution: Constitution) -> dict[str, Basis]:
    found = bases_of(constitution)
    spoke: dict[str, set[str]] = {}
    for group in groups:
        for one in group.judgements:
            if one.principle in found and one.verdict != "not_measured":
                spoke.setdefault(one.principle, set()).add(one.judge)
    for id, judges in spoke.items():
        if models := sorted(judges - {"rule"}):
            found[id] = Basis(id, ", ".join(models), "uncalibrated", f"uncalibrated: {NO_CARD}")
        elif found[id].evidence != "exact":
            found[id] = replace(found[id], by="rule", evidence="exact", why="")
    return found


def _identity(constitution: Constitution) -> dict[str, str]:
    return {"name": constitution.name, "version": constitution.version, "sha": constitution.sha}
