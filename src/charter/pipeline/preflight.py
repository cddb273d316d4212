"""Every mistake that can be found before a model loads is found here, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.errors import CharterError, ConfigError
from charter.feedback.revising.draw import usable
from charter.feedback.revising.rule_critic import RULES, RuleCritic
from charter.feedback.rules.constitution import ConstitutionFeedback, tags_of
from charter.models.check import check_checkpoint
from charter.models.hub import is_hub_id, resolve
from charter.models.named import NAMED
from charter.pipeline.recipe import Recipe
from charter.pipeline.stage_models import names_in
from charter.types import Group


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
        if kind == "review":
            _check_review(recipe, number, stage, where)
        if kind in ("sample", "evaluate", "revise"):
            groups = load_groups(str(recipe.file(stage.prompts)), "prompts").groups
            for group in groups:
                tags_of(group)
            found[f"{kind} prompts"] = len(groups)
        if kind == "evaluate" and stage.unrelated and not recipe.file(stage.unrelated).is_file():
            raise ConfigError("no such file", where=f"{where}: unrelated: {recipe.file(stage.unrelated)}")
        if kind in ("judge", "evaluate") and constitution is not None:
            _check_judge(recipe, kind, stage, constitution, found)
        if kind == "compare" and constitution is not None:
            _check_principles(stage, constitution, where)
        if kind == "revise" and constitution is not None:
            usable(constitution, stage.principles)
            _check_critic(recipe, stage, constitution, found)
        if kind == "train":
            _check_train(recipe, number, stage, found)
    _check_overlap(recipe, found)
    _check_models(recipe)
    return found


def _constitution(recipe: Recipe, found: dict[str, Any]) -> Constitution | None:
    if recipe.head.constitution is None:
        return None
    constitution = Constitution.load(recipe.file(recipe.head.constitution))
    ConstitutionFeedback(constitution)
    measured = [p for p in constitution.active if p.rules is not None]
    judged = any(kind == "evaluate" and stage.judge is not None for kind, stage in recipe.stages)
    if not measured and not judged:
        raise ConfigError(
            "no principle has rules, so nothing can be measured",
            where=constitution.path,
            fix="give at least one principle a ```yaml rules``` block, or evaluate with a judge",
        )
    found["principles measured"] = len(measured)
    found["principles not measured"] = len(constitution.active) - len(measured)
    return constitution


def _check_judge(
    recipe: Recipe, kind: str, stage: Any, constitution: Constitution, found: dict[str, Any]
) -> None:
    """Judge, card, labels and older report; the judge is named and not loaded."""
    from charter.pipeline.stages.given import given_of

    given = given_of(recipe, stage, constitution)
    if given.judge is not None:
        found[f"{kind} judge"] = given.judge.name
    if given.labels is not None:
        found[f"{kind} labels"] = len(given.labels.answers) + len(given.labels.pairs)


def _check_critic(recipe: Recipe, stage: Any, constitution: Constitution, found: dict[str, Any]) -> None:
    """The critic is named and not loaded, an endpoint not contacted."""
    from charter.pipeline.revising import open_writer

    if stage.critic == RULES:
        RuleCritic(constitution, stage.principles)
        found["revise critic"] = RULES
    elif stage.critic is not None:
        open_writer(stage.critic, base=recipe.path.parent)
        found["revise critic"] = stage.critic


def _check_review(recipe: Recipe, number: int, stage: Any, where: str) -> None:
    """What is reviewed must have been made by then."""
    from charter.pipeline.stages.review import MADE_BY

    before = {kind for kind, _ in recipe.stages[: number - 1]}
    for name in stage.what:
        if not before & set(MADE_BY[name]):
            raise ConfigError(
                f"there is no {name} to review: no {' or '.join(MADE_BY[name])} stage before it",
                where=where,
                fix="move the review behind that stage, or review something else",
            )


def _check_principles(stage: Any, constitution: Constitution, where: str) -> None:
    for name in (*stage.weights, *stage.quota):
        try:
            constitution.principle(name)
        except Exception as error:
            raise ConfigError(str(error), where=where) from None


def _check_train(recipe: Recipe, number: int, stage: Any, found: dict[str, Any]) -> None:
    from charter.catalogue import lookup
    from charter.catalogue.actor_critic import PPOPtxOptions
    from charter.pipeline.rewarded_prompts import beside
    from charter.pipeline.training_data import load_data

    entry, options, base = lookup(stage.algorithm), recipe.options[number], recipe.path.parent
    called = f"train {stage.name}" if stage.name else "train"
    asked: dict[str, set[str]] = {}
    for name in ("data", "eval_data"):
        if getattr(stage, name) is not None:
            loaded = load_data(recipe.source(getattr(stage, name)), entry, options, base)
            found[f"{called} {name}"] = len(loaded.groups)
            asked[name] = _texts(loaded.groups)
            _check_rewards(options, base, loaded.groups)
    if entry.rollouts is not None and len(asked) == 2:
        _refuse_shared(asked["data"] & asked["eval_data"], f"{recipe.path}: stage {number} (train)")
    if isinstance(options, PPOPtxOptions):
        found[f"{called} ptx_data"] = len(load_groups(beside(base, options.ptx_data), "sft").groups)
    if stage.objective is not None:
        file = recipe.file(stage.objective.rpartition(":")[0])
        if not file.is_file():
            raise ConfigError("no such file", where=f"objective: {file}")


def _check_rewards(options: Any, base: Path, groups: Sequence[Group]) -> None:
    """The rewards that are there already; those an earlier stage trains are checked by their names."""
    from charter.catalogue.rollouts import RolloutOptions
    from charter.feedback.rewards.gate_check import check_gates
    from charter.pipeline.rewarded_prompts import check_prompts, rewards_of
    from charter.pipeline.stage_models import without_models

    if not isinstance(options, RolloutOptions):
        return
    check_gates(options.reward_funcs, base, groups)
    there = without_models(options)
    assert isinstance(there, RolloutOptions)
    if options.reward_funcs and not there.reward_funcs:
        return
    with closing(rewards_of(there, base, {})) as rewards:
        check_prompts(rewards, there, groups)


def _check_overlap(recipe: Recipe, found: dict[str, Any]) -> None:
    """Prompts that are both trained on and held out make the evidence worthless."""
    texts: dict[str, set[str]] = {}
    for kind, stage in recipe.stages:
        if kind in ("sample", "evaluate", "revise"):
            groups = load_groups(str(recipe.file(stage.prompts)), "prompts").groups
            texts[kind] = _texts(groups)
    trained = texts.get("sample", set()) | texts.get("revise", set())
    _refuse_shared(trained & texts.get("evaluate", set()), str(recipe.path))
    found["prompts in both files"] = 0


def _texts(groups: Sequence[Group]) -> set[str]:
    return {group.samples[0].context.text.strip().lower() for group in groups}


def _refuse_shared(shared: set[str], where: str) -> None:
    if shared:
        raise ConfigError(
            f"{len(shared)} held-out prompts are also training prompts, e.g. {min(shared)!r}",
            where=where,
            fix="remove them from one of the files (or take a seed far from the other: tasks of near seeds "
            "are the same ones)",
        )


def _check_models(recipe: Recipe) -> None:
    """Local checkpoints are checked now; a known name or hub id is fetched when it is needed."""
    _check_model(recipe.model_source())
    for number, (kind, stage) in enumerate(recipe.stages, start=1):
        if kind in ("sample", "train") and stage.model is not None and not names_in(stage.model):
            try:
                _check_model(recipe.model_source(stage.model))
            except CharterError as error:
                error.add_note(f"in stage {number} ({kind}): model")
                raise


def _check_model(name: str) -> None:
    if name not in NAMED and not is_hub_id(name):
        check_checkpoint(resolve(name))
