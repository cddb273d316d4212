"""Models that train stages made, written ``{name}`` in the options of later stages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charter.catalogue import ENTRIES, Entry, TrainOptions
from charter.errors import ConfigError, did_you_mean
from charter.models.trained_as import kind_of

NAME = r"[A-Za-z][A-Za-z0-9_-]*"
_PLACE = re.compile(r"\{(" + NAME + r")\}")
JUDGE = "judge"
_REWARDS = ("reward_funcs", "critic_model")


def names_in(value: Any) -> list[str]:
    """The stages that a text, or a list of texts, names."""
    texts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return [name for text in texts if isinstance(text, str) for name in _PLACE.findall(text)]


def check_names(stages: Sequence[tuple[str, Any]], where: str) -> None:
    """Several train stages have names of their own; what uses a model comes after the stage that makes it.

    Args:
        stages: kind and options of each stage, in order.
        where: the recipe.

    Raises:
        ConfigError: what does not fit.
    """
    kinds: dict[str, str] = {}
    several = sum(kind == "train" for kind, _ in stages) > 1
    for number, (kind, stage) in enumerate(stages, start=1):
        place = f"{where}: stage {number} ({kind})"
        if kind == "sample":
            _check_use("model", stage.model, "policy", kinds, place)
        if kind != "train":
            continue
        if several and stage.name is None:
            raise ConfigError(
                "several train stages need a name each", where=place, fix="add `name: ...` to each of them"
            )
        if stage.name in kinds:
            raise ConfigError(f"the name {stage.name!r} is there twice", where=place)
        _check_use("model", stage.model, "policy", kinds, place)
        for key in _REWARDS:
            _check_use(key, stage.given.get(key), "reward", kinds, place)
        if stage.name is not None and (entry := ENTRIES.get(stage.algorithm)) is not None:
            kinds[stage.name] = _made(entry)


def _made(entry: Entry) -> str:
    """What a train stage makes; a judge whose verdicts are words is a policy and a reward."""
    return JUDGE if entry.trains == "policy" and kind_of(entry.name) is not None else entry.trains


def _check_use(key: str, value: Any, kind: str, kinds: Mapping[str, str], place: str) -> None:
    """Every ``{name}`` in ``value`` is a stage before, and makes the kind of model that is wanted there."""
    for name in names_in(value):
        if name not in kinds:
            raise ConfigError(
                f"{key}: no train stage {name!r} before this one; {did_you_mean(name, kinds)}", where=place
            )
        if kinds[name] != kind and not (kinds[name] == JUDGE and key in ("model", "reward_funcs")):
            raise ConfigError(
                f"{key}: the stage {name!r} trains a {kinds[name]} model, not a {kind} model", where=place
            )


def filled(options: TrainOptions, folders: Mapping[str, Path]) -> TrainOptions:
    """The options with the folders of the models that earlier stages made in place of their names."""
    changed: dict[str, Any] = {}
    for key in _REWARDS:
        value = getattr(options, key, None)
        if not names_in(value):
            continue
        if isinstance(value, str):
            changed[key] = _put(value, folders)
        else:
            changed[key] = tuple(_put(text, folders) for text in value or ())
    return options.model_copy(update=changed) if changed else options


def source(text: str, folders: Mapping[str, Path]) -> str:
    """A model written as ``{name}``, or as it is."""
    return _put(text, folders)


def without_models(options: TrainOptions) -> TrainOptions:
    """The options without the rewards that are not there before the recipe has run, and gates on them."""
    from charter.feedback.rewards.gate import GATE

    funcs = getattr(options, "reward_funcs", ())
    kept = [at for at, spec in enumerate(funcs) if not names_in(spec) and spec.partition(":")[0] != GATE]
    if not any(names_in(spec) for spec in funcs):
        return options
    weights = tuple((getattr(options, "reward_weights", None) or (1.0,) * len(funcs))[at] for at in kept)
    update = {
        "reward_funcs": tuple(funcs[at] for at in kept),
        "reward_weights": weights if any(weights) else None,  # those that only watch are checked too
    }
    return options.model_copy(update=update)


def _put(text: str, folders: Mapping[str, Path]) -> str:
    return _PLACE.sub(lambda found: str((folders[found.group(1)] / "model").absolute()), text)
