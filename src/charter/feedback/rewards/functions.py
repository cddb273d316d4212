"""Rewards from a person's own functions, in this process or in a sandbox."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from charter.errors import EnvironmentFault, Interrupted
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.outcome import Missing, Said, error, judgement, raised, said_of
from charter.feedback.rewards.sandbox import Graded, Result, Sandbox
from charter.feedback.rewards.signature import (
    Form,
    Rollout,
    batch_arguments,
    loggers,
    single_arguments,
)
from charter.types import Group, Judgement

T = TypeVar("T")
_PASS_ON = (Interrupted, EnvironmentFault)


@dataclass(frozen=True)
class FunctionReward(Reward):
    """A function of either form of :mod:`charter.feedback.rewards.signature`, plain or async.

    A sample the function returns None for is not applicable; one it raises or returns NaN for is an
    error of that sample. Where a batch fails (or has the wrong length), its groups are asked one by
    one, then the samples of a group that failed, so that one bad row does not cost the others.

    Attributes:
        name: see :class:`Reward`.
        function: called with keyword arguments.
        form: its signature.
        logged: what it told TRL's ``log_metric`` in the last round.
    """

    name: str
    function: Callable[..., Any]
    form: Form
    logged: dict[str, list[float]] = field(default_factory=dict, compare=False)

    @property
    def needs(self) -> frozenset[str]:
        """See :class:`Reward`."""
        return self.form.columns

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`Reward`."""
        self.logged.clear()
        rollouts = _rollouts(groups)
        said = self._batch(rollouts) if self.form.batch else self._singles(rollouts)
        return _judgements(self.name, groups, said)

    # -- the batch form ------------------------------------------------------

    def _batch(self, rollouts: Sequence[Rollout]) -> list[Said]:
        if not rollouts:
            return []
        try:
            return self._call(rollouts)
        except _PASS_ON:
            raise
        except Exception as fault:
            if len(rollouts) == 1:
                return [raised(fault)]
        return [said for part in _parts(rollouts) for said in self._batch(part)]

    def _call(self, rollouts: Sequence[Rollout]) -> list[Said]:
        log = {"log_extra": _ignore, "log_metric": self._log}
        arguments = batch_arguments(self.form, rollouts) | loggers(self.form, log)
        found = self.function(**arguments)
        if inspect.isawaitable(found):
            found = finished(_awaited(found))
        return _of_length(found, len(rollouts))

    def _log(self, name: str, value: float) -> None:
        self.logged.setdefault(name, []).append(float(value))

    # -- the one-sample form ---------------------------------------------------

    def _singles(self, rollouts: Sequence[Rollout]) -> list[Said]:
        found = [self._started(one) for one in rollouts]
        waiting = [one for one in found if inspect.isawaitable(one)]
        done = iter(finished(_all(waiting)) if waiting else ())
        return [_value(next(done) if inspect.isawaitable(one) else one) for one in found]

    def _started(self, rollout: Rollout) -> Any:
        """What the function returned, an awaitable of it, or the exception it raised."""
        try:
            log = {"log_metric": self._log} if "log_metric" in self.form.names else {}
            return self.function(**single_arguments(self.form, rollout), **log)
        except _PASS_ON:
            raise
        except Exception as fault:
            return fault


@dataclass(frozen=True)
class SandboxedReward(Reward):
    """A reward graded one sample at a time in a killable child; see :class:`Sandbox`.

    A grade that ran into a limit is an error, which is not the same as a wrong answer.

    Attributes:
        name: see :class:`Reward`.
        sandbox: with the function.
        payload: its keyword arguments for a rollout, or why it is not asked.
        value: from what it returned to what a reward function returns.
        columns: see :attr:`Reward.needs`.
    """

    name: str
    sandbox: Sandbox
    payload: Callable[[Rollout], dict[str, Any] | Missing]
    value: Callable[[Any], Any] = lambda found: found
    columns: frozenset[str] = frozenset()

    @property
    def needs(self) -> frozenset[str]:
        """See :class:`Reward`."""
        return self.columns

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`Reward`."""
        asked = [self._payload(one) for one in _rollouts(groups)]
        results = iter(self.sandbox.grade([one for one in asked if not isinstance(one, Missing)]))
        said = [one if isinstance(one, Missing) else self._said(next(results)) for one in asked]
        return _judgements(self.name, groups, said)

    def close(self) -> None:
        """See :class:`Reward`."""
        self.sandbox.close()

    def _payload(self, rollout: Rollout) -> dict[str, Any] | Missing:
        try:
            return self.payload(rollout)
        except Exception as fault:
            return raised(fault)

    def _said(self, result: Result) -> Said:
        if not isinstance(result, Graded):
            return error(result.kind, result.detail)
        try:
            return said_of(self.value(result.value))
        except Exception as fault:
            return raised(fault)


def sandboxed_function(name: str, sandbox: Sandbox, form: Form) -> SandboxedReward:
    """A function of either form in a sandbox; the batch form gets batches of one sample."""

    def payload(rollout: Rollout) -> dict[str, Any]:
        return batch_arguments(form, [rollout]) if form.batch else single_arguments(form, rollout)

    def value(found: Any) -> Any:
        if not form.batch:
            return found
        if not isinstance(found, list) or len(found) != 1:
            raise ValueError(f"{found!r} is not a list of one reward")
        return found[0]

    return SandboxedReward(name, sandbox, payload, value, form.columns)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, also where an event loop is already running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    found: list[T] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return found[0]


def _rollouts(groups: Sequence[Group]) -> list[Rollout]:
    return [Rollout(sample, group, number) for number, group in enumerate(groups) for sample in group.samples]


def _judgements(name: str, groups: Sequence[Group], said: Sequence[Said]) -> list[list[Judgement]]:
    each = iter(said)
    return [
        [judgement(name, "function", index, next(each)) for index in range(len(group.samples))]
        for group in groups
    ]


def _parts(rollouts: Sequence[Rollout]) -> list[list[Rollout]]:
    """The groups of a batch, or the samples of one group."""
    groups = [list(part) for _, part in groupby(rollouts, key=lambda one: one.number)]
    return groups if len(groups) > 1 else [[one] for one in rollouts]


def _of_length(found: Any, count: int) -> list[Said]:
    if isinstance(found, str | bytes | dict) or not hasattr(found, "__len__"):
        raise TypeError(f"returned {type(found).__name__}, not a list of rewards")
    if len(found) != count:
        raise ValueError(f"returned {len(found)} rewards for {count} completions")
    return [said_of(value) for value in found]


def _value(found: Any) -> Said:
    if isinstance(found, _PASS_ON):
        raise found
    return raised(found) if isinstance(found, Exception) else said_of(found)


async def _awaited(found: Any) -> Any:
    return await found


async def _all(waiting: Sequence[Any]) -> list[Any]:
    return await asyncio.gather(*waiting, return_exceptions=True)


def _ignore(*_: Any) -> None:
    """TRL's ``log_extra`` adds columns to a table that is not made here."""
