"""Every mistake that can be found before a model loads is found here, in seconds."""

from __future__ import annotations

from typing import Any

from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.errors import ConfigError
from charter.feedback.constitution import ConstitutionFeedback, tags_of
from charter.models.check import check_checkpoint
from charter.models.hub import is_hub_id
from charter.models.named import NAMED
from charter.pipeline.recipe import Recipe


def preflight(recipe: Recipe) -> dict[str, Any]:
    """Check files, constitution, data and model of a recipe without loading a model.

    Returns:
        counts for people: rows per file, principles measured and not.

    Raises:
        UserError: the first mistake, with its place and its fix.
    """
    found: dict[str, Any] = {}
    constitution = _constitution(recipe, found)
    for number, (kind, stage) in enumerate(recipe.stages, start=1):
        where = f"{recipe.path}: stage {number} ({kind})"
        if kind in ("sample", "evaluate"):
            groups = load_groups(str(recipe.file(stage.prompts)), "prompts").groups
            for group in groups:
                tags_of(group)
            found[f"{kind} prompts"] = len(groups)
        if kind == "evaluate" and stage.unrelated and not recipe.file(stage.unrelated).is_file():
            raise ConfigError("no such file", where=f"{where}: unrelated: {recipe.file(stage.unrelated)}")
        if kind == "compare" and constitution is not None:
            _check_principles(stage, constitution, where)
        if kind == "train":
            _check_train(recipe, number, stage, found)
    _check_overlap(recipe, found)
    _check_model(recipe)
    return found


def _constitution(recipe: Recipe, found: dict[str, Any]) -> Constitution | None:
    if recipe.head.constitution is None:
        return None
    constitution = Constitution.load(recipe.file(recipe.head.constitution))
    ConstitutionFeedback(constitution)
    measured = [p for p in constitution.active if p.rules is not None]
    if not measured:
        raise ConfigError(
            "no principle has rules, so nothing can be measured",
            where=constitution.path,
            fix="give at least one principle a ```yaml rules``` block",
        )
    found["principles measured"] = len(measured)
    found["principles not measured"] = len(constitution.active) - len(measured)
    return constitution


def _check_principles(stage: Any, constitution: Constitution, where: str) -> None:
    for name in (*stage.weights, *stage.quota):
        try:
            constitution.principle(name)
        except Exception as error:
            raise ConfigError(str(error), where=where) from None


def _check_train(recipe: Recipe, number: int, stage: Any, found: dict[str, Any]) -> None:
    from charter.catalogue import lookup
    from charter.pipeline.training_data import read_data

    entry = lookup(stage.algorithm)
    for name in ("data", "eval_data"):
        if getattr(stage, name) is not None:
            data = str(recipe.file(getattr(stage, name)))
            found[f"train {name}"] = len(read_data(data, entry, recipe.options[number]).groups)
    if stage.objective is not None:
        file = recipe.file(stage.objective.rpartition(":")[0])
        if not file.is_file():
            raise ConfigError("no such file", where=f"objective: {file}")


def _check_overlap(recipe: Recipe, found: dict[str, Any]) -> None:
    """Prompts that are both trained on and held out make the evidence worthless."""
    texts: dict[str, set[str]] = {}
    for kind, stage in recipe.stages:
        if kind in ("sample", "evaluate"):
            groups = load_groups(str(recipe.file(stage.prompts)), "prompts").groups
            texts[kind] = {g.samples[0].context.text.strip().lower() for g in groups}
    shared = texts.get("sample", set()) & texts.get("evaluate", set())
    if shared:
        raise ConfigError(
            f"{len(shared)} held-out prompts are also training prompts, e.g. {min(shared)!r}",
            where=str(recipe.path),
            fix="remove them from one of the files",
        )
    found["prompts in both files"] = 0


def _check_model(recipe: Recipe) -> None:
    """A local checkpoint is checked now; a known name or hub id is fetched when it is needed."""
    name = recipe.model_source()
    if name in NAMED or is_hub_id(name):
        return
    from charter.models.hub import resolve

    check_checkpoint(resolve(name))
