"""From the names of rewards to rewards, every mistake found before a model loads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from charter.config import Config, validate
from charter.constitution import Constitution
from charter.constitution.callable_target import file_sha
from charter.errors import ConfigError, EnvironmentFault
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.builtin import BUILTIN, Limits, NoOptions
from charter.feedback.rewards.functions import FunctionReward, sandboxed_function
from charter.feedback.rewards.judged import judge_of, judge_reward
from charter.feedback.rewards.models import ConstitutionReward, ModelReward
from charter.feedback.rewards.parsed import Parsed, parse
from charter.feedback.rewards.people import people_reward
from charter.feedback.rewards.rewards import Rewards
from charter.feedback.rewards.sandbox import Sandbox
from charter.feedback.rewards.signature import form_of, parameters_of
from charter.feedback.rewards.trained import TrainedReward
from charter.feedback.rules.callables import load as load_function
from charter.feedback.rules.constitution import ConstitutionFeedback, measured
from charter.feedback.rules.outcome import RuleError
from charter.feedback.trained.checkpoints import named
from charter.feedback.trained.options import PairwiseOptions

if TYPE_CHECKING:
    from charter.models.policy import Policy

WHERE = "reward_funcs"


class ConstitutionOptions(Config):
    """How the principles of a constitution become one reward."""

    combine: Literal["weighted", "lexicographic"] = "weighted"
    """The share of applicable principles passed by weight, or level by level."""
    slack: float | None = Field(None, gt=0, le=1)
    """Lexicographic: shares of a level this close are nearly equal (0.1)."""

    @model_validator(mode="after")
    def _has_effect(self) -> ConstitutionOptions:
        if self.slack is not None and self.combine != "lexicographic":
            raise ValueError("slack has no effect without combine=lexicographic")
        return self


def open_rewards(
    specs: Sequence[str],
    weights: Sequence[float] | None = None,
    base_dir: str | Path = ".",
    *,
    load_model: Callable[[str], Policy] | None = None,
) -> Rewards:
    """The rewards that ``specs`` name; nothing heavy is imported, and no model loaded.

    A spec is ``[sandbox:]TARGET[:key=value,...]``. TARGET is a constitution file, ``judge:MODEL:FILE`` (a
    model judges by a constitution, see :mod:`charter.feedback.rewards.judged`), ``file.py:function``
    or ``package.module:function`` (see :mod:`charter.feedback.rewards.signature`), the folder or name of
    a trained reward model or judge, ``ensemble:A+B`` of reward models (options:
    :mod:`charter.feedback.trained.options`), ``gpo:FOLDER:EXAMPLES`` (a group of people by a few of its
    preferences), or a built-in reward (:data:`charter.feedback.rewards.builtin.BUILTIN`).
    ``name=`` names any of them; names given twice are numbered.

    Args:
        specs: one for each reward.
        weights: one for each; None = 1 each.
        base_dir: folder that files are relative to.
        load_model: loads a reward model; None = :func:`charter.models.load.load`.

    Raises:
        ConfigError: an unknown name, function or option, a wrong signature, weights that do not fit.
        ConstitutionError: a constitution file is wrong.
        EnvironmentFault: an optional package is missing.
    """
    if isinstance(specs, str):
        raise ConfigError(f"rewards are a list of texts, not {specs!r}", where=WHERE, fix="write [...]")
    if not specs:
        raise ConfigError("no reward", where=WHERE, fix="name a constitution, a function or a built-in")
    checked = _weights(weights, len(specs))
    base = Path(base_dir)
    parsed = [parse(spec, base) for spec in specs]
    constitutions = [_constitution(one, base) if one.kind == "constitution" else None for one in parsed]
    judges = [judge_of(one, base, load_model) if one.kind == "judge" else None for one in parsed]
    principles = {p.id for found in (*constitutions, *judges) if found for p in found.constitution.active}
    names = unique([one.name for one in parsed], principles)
    made: list[Reward] = []
    try:
        for one, name, feedback, judge in zip(parsed, names, constitutions, judges, strict=True):
            if judge is not None:
                made.append(judge_reward(one, name, judge))
                continue
            made.append(_open(one, name, feedback, base, load_model))
    except BaseException:
        for reward in made:
            reward.close()
        raise
    return Rewards(made, checked)


def unique(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Each name once: later ones of the same name get ``-2``, ``-3`` ..."""
    used, found = set(taken), []
    for name in names:
        fresh, number = name, 1
        while fresh in used:
            number += 1
            fresh = f"{name}-{number}"
        used.add(fresh)
        found.append(fresh)
    return found


def _weights(weights: Sequence[float] | None, count: int) -> list[float]:
    if weights is None:
        return [1.0] * count
    if len(weights) != count:
        raise ConfigError(
            f"{len(weights)} reward_weights for {count} reward_funcs", where=WHERE, fix="give one for each"
        )
    if not all(math.isfinite(weight) for weight in weights):
        raise ConfigError(f"reward_weights must be finite: {list(weights)}", where=WHERE)
    if not any(weights):
        raise ConfigError("every reward has the weight 0", where=WHERE, fix="give one another weight")
    return [float(weight) for weight in weights]


def _open(
    parsed: Parsed,
    name: str,
    feedback: ConstitutionFeedback | None,
    base: Path,
    load_model: Callable[[str], Policy] | None,
) -> Reward:
    if feedback is not None:
        options = validate(ConstitutionOptions, dict(parsed.options), where=parsed.spec)
        slack = None if options.combine == "weighted" else options.slack or 0.1
        return ConstitutionReward(name, feedback, slack)
    if parsed.kind == "builtin":
        found = BUILTIN[parsed.target]
        try:
            return found.make(name, validate(found.options, dict(parsed.options), where=parsed.spec))
        except EnvironmentFault as fault:
            raise EnvironmentFault(fault.what, where=parsed.spec, fix=fault.fix) from None
    if parsed.kind == "function":
        return _function(parsed, name, base)
    if parsed.kind == "people":
        validate(NoOptions, dict(parsed.options), where=parsed.spec)
        return people_reward(parsed.target, name, base, parsed.spec, load_model)
    return _model(parsed, name, base, load_model)


def _constitution(parsed: Parsed, base: Path) -> ConstitutionFeedback:
    feedback = ConstitutionFeedback(Constitution.load(base / Path(parsed.target).expanduser()))
    if not measured(feedback.constitution):
        raise ConfigError(
            "no principle of this constitution has rules, so nothing would be rewarded",
            where=parsed.spec,
            fix="write rules, or train a reward model on judgements",
        )
    return feedback


def _function(parsed: Parsed, name: str, base: Path) -> Reward:
    limits = validate(Limits if parsed.sandbox else NoOptions, dict(parsed.options), where=parsed.spec)
    place, _, function = parsed.target.rpartition(":")
    target = f"{Path(place).expanduser()}:{function}" if place.endswith(".py") else parsed.target
    try:
        sha = file_sha(target, base)
    except ValueError as fault:
        raise ConfigError(str(fault), where=parsed.spec) from None
    if isinstance(limits, Limits):
        sandbox = Sandbox(target, base=base, seconds=limits.seconds, memory_mb=limits.memory_mb)
        try:
            described = sandbox.function
            form = form_of(described.parameters, parsed.spec, is_class=described.is_class)
            refused = sorted({"log_extra", "log_metric"} & form.required)
            if refused:
                raise ConfigError(f"{refused[0]} is not offered in a sandbox", where=parsed.spec)
        except ConfigError:
            sandbox.close()
            raise
        return sandboxed_function(name, sandbox, form)
    try:
        found = load_function(target, base, sha)
    except RuleError as fault:
        raise ConfigError(str(fault), where=parsed.spec) from None
    if isinstance(found, type):
        return FunctionReward(name, found, form_of((), parsed.spec, is_class=True))
    return FunctionReward(name, found, form_of(parameters_of(found), parsed.spec))


def _model(parsed: Parsed, name: str, base: Path, load_model: Callable[[str], Policy] | None) -> Reward:
    found = named(parsed.target, parsed.options, base, where=parsed.spec, known=list(BUILTIN))
    if found.trained is None or found.trained.kind == "outcome":
        return ModelReward(name, found, load_model)
    if isinstance(found.options, PairwiseOptions) and found.options.pairs == "tournament":
        raise ConfigError(
            "a tournament chooses one answer and scores none, so it is no reward",
            where=parsed.spec,
            fix="leave pairs out, or choose with `charter rank`",
        )
    return TrainedReward(name, found, load_model)
