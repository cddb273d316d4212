"""Which of the two forms a reward function has, and what it is called with.

The batch form is TRL's: ``f(prompts, completions, completion_ids, **columns) -> list[float | None]``.
The one-sample form is ``f(completion: str, prompt: str, **columns) -> float | None``. Arguments are
given by keyword; a function without ``**columns`` gets the ones it names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.errors import ConfigError
from charter.feedback.rules.constitution import prompt_of
from charter.types import Content, Group, Sample

_BATCH = ("prompts", "completions", "completion_ids")
_SINGLE = ("prompt", "completion", "completion_ids")
_EXTRA = ("finish_reason", "log_extra", "log_metric")
_REFUSED = {
    "trainer_state": "rewards are judged outside of the trainer",
    "environments": "environments say their own reward",
}

Parameter = tuple[str, str, bool]
"""Name, kind as :class:`inspect.Parameter` names it, and whether it must be given."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a reward function is called.

    Attributes:
        batch: TRL's form, for many samples at once.
        names: parameters that can be given by keyword.
        required: those without a default.
        any_column: it takes ``**columns``.
    """

    batch: bool
    names: frozenset[str]
    required: frozenset[str]
    any_column: bool

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the prompts it cannot do without."""
        return self.required - {*(_BATCH if self.batch else _SINGLE), *_EXTRA}

    def takes(self, name: str) -> bool:
        """Whether an argument of that name may be given."""
        return self.any_column or name in self.names


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sample as a reward function sees it.

    Attributes:
        sample: of the group.
        group: which prompt it answers; its ``meta`` are the columns.
        number: of the group, among those judged together.
    """

    sample: Sample
    group: Group
    number: int

    @property
    def single(self) -> dict[str, Any]:
        """Arguments of the one-sample form beside the columns: texts."""
        return {
            "prompt": prompt_of(self.sample.context),
            "completion": self.sample.completion.text,
            "completion_ids": list(self.sample.completion.token_ids),
            "finish_reason": self.sample.completion.finish_reason,
        }


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a function or of an object that can be called."""
    return [
        (one.name, one.kind.name, one.default is inspect.Parameter.empty)
        for one in inspect.signature(function).parameters.values()
    ]


def form_of(parameters: Iterable[Parameter], where: str, *, is_class: bool = False) -> Form:
    """The form of a reward function.

    Raises:
        ConfigError: it has neither form, or asks for something that is not offered.
    """
    if is_class:
        raise ConfigError("a class is no reward function", where=where, fix="name an object made of it")
    parameters = list(parameters)
    named = {name for name, kind, _ in parameters if kind in ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")}
    required = {name for name, kind, needed in parameters if name in named and needed}
    any_column = any(kind == "VAR_KEYWORD" for _, kind, _ in parameters)
    shown = ", ".join(name for name, _, _ in parameters)
    if any(kind == "POSITIONAL_ONLY" and needed for _, kind, needed in parameters):
        raise ConfigError(
            f"a parameter can only be given by position: ({shown})", where=where, fix="remove the `/`"
        )
    if "completion" in named and "completions" in named:
        raise ConfigError(f"takes both completion and completions: ({shown})", where=where, fix="take one")
    batch = "completion" not in named
    if batch and not any_column and not named & set(_BATCH):
        raise ConfigError(
            f"not a reward function: it takes ({shown})",
            where=where,
            fix="write def reward(completions, prompts, **columns), "
            "or def reward(completion, prompt, **columns) for one sample",
        )
    for name, why in _REFUSED.items():
        if name in required:
            raise ConfigError(f"{name} is not offered: {why}", where=where, fix="give it a default")
    wrong = required & (set(_SINGLE if batch else _BATCH) - {"completion_ids"})
    if wrong:
        name = min(wrong)
        raise ConfigError(
            f"takes {name!r} beside {'completions' if batch else 'completion'!r}",
            where=where,
            fix="use prompts with completions, prompt with completion",
        )
    return Form(batch, frozenset(named), frozenset(required), any_column)


def batch_arguments(form: Form, rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """Keyword arguments of the batch form, one list entry for each rollout.

    A conversational prompt is a list of ``{role, content}``, and so is its completion. A column
    that a prompt lacks is None there.

    Raises:
        KeyError: a column the function cannot do without is nowhere.
    """
    names = list(dict.fromkeys(name for one in rollouts for name in one.group.meta))
    _require(form, names)
    made: dict[str, Any] = {
        name: [one.group.meta.get(name) for one in rollouts]
        for name in names
        if form.takes(name) and name not in (*_BATCH, "completion", *_REFUSED)
    }
    given = {
        "prompts": [_plain(one.sample.context.content) for one in rollouts],
        "completions": [
            _answer(one.sample.completion.content, one.sample.context.content) for one in rollouts
        ],
        "completion_ids": [list(one.sample.completion.token_ids) for one in rollouts],
    }
    if "finish_reason" in form.names:
        given["finish_reason"] = [one.sample.completion.finish_reason for one in rollouts]
    return made | {name: value for name, value in given.items() if form.takes(name)}


def single_arguments(form: Form, rollout: Rollout) -> dict[str, Any]:
    """Keyword arguments of the one-sample form.

    Raises:
        KeyError: a column the function cannot do without is missing.
    """
    meta = rollout.group.meta
    _require(form, meta)
    made = {name: value for name, value in meta.items() if form.takes(name) and name not in _REFUSED}
    given = rollout.single
    if "finish_reason" not in form.names:
        given.pop("finish_reason")
    return made | {name: value for name, value in given.items() if form.takes(name)}


def loggers(form: Form, log: Mapping[str, Any]) -> dict[str, Any]:
    """TRL's ``log_extra`` and ``log_metric``, for functions that name them."""
    return {name: function for name, function in log.items() if form.takes(name)}


def _require(form: Form, columns: Iterable[str]) -> None:
    for name in sorted(form.columns - set(columns)):
        raise KeyError(f"the prompts have no column {name!r}")


def _plain(content: Content) -> Any:
    if isinstance(content, str):
        return content
    return [{"role": turn.role, "content": turn.content} for turn in content]


def _answer(content: Content, context: Content) -> Any:
    if isinstance(content, str) and not isinstance(context, str):
        return [{"role": "assistant", "content": content}]
    return _plain(content)
