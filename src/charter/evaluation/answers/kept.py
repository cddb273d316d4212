"""An engine whose answers are written down as they come, so that nothing is answered twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from charter.engines.base import Engine, Mixture, OnProgress, Sampling
from charter.errors import ConfigError, Interrupted
from charter.feedback.journal import KEY, JournalFile
from charter.interrupt import graceful
from charter.records import group_from_json, group_to_json
from charter.rundir import sha256_json
from charter.types import Context, Group

AT_ONCE = 32
"""Answers sampled, and written down, together: at most so many are lost when the process dies."""

_STOPPED = "stopped while answers were sampled"


class AnswerFile(JournalFile[Group]):
    """Answers to one context, by everything that decides them."""

    line = "row of a file of kept answers"

    def add(self, key: str, group: Group) -> None:
        """Keep the answers to one context; the context itself is known to whoever asks again.

        Raises:
            EnvironmentFault: the disk refuses.
        """
        bare = Group(tuple(replace(sample, context=Context()) for sample in group.samples))
        self._answers[key] = bare
        self._write({KEY: key, "group": group_to_json(bare)})

    def _take(self, row: Mapping[str, Any]) -> None:
        self._answers[row[KEY]] = group_from_json(row["group"])


class KeptEngine:
    """Asks an engine only what it was not asked before.

    Equal contexts of one request belong together, since an engine gives each its own random numbers.

    Args:
        engine: who answers. Its weights must stay as they are.
        file: of the answers; one without a path keeps them in memory alone.
        identity: of everything beside the request that decides an answer: the weights, what stands around.
        fix: what a person is told to do after an interruption.
    """

    def __init__(self, engine: Engine, file: AnswerFile, identity: str, fix: str = "") -> None:
        self.inner = engine
        self._file = file
        self._identity = identity
        self._fix = fix

    def load_weights(self, policy: Any, version: int, name: str = "policy") -> None:
        """Refused: kept answers are those of one model.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("the answers of this engine are kept, so its weights cannot change")

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str | Mixture = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """See :meth:`charter.engines.base.Engine.generate`.

        Raises:
            Interrupted: the person asked to stop; what was answered is kept.
        """
        units = _equal(contexts)
        keys = self._keys(contexts, units, n, sampling, policy)
        found = [self._file.get(key) for key in keys]
        todo = [unit for unit in units if any(found[place] is None for place in unit)]
        left = sum(map(len, todo))
        if on_progress is not None and len(contexts) > left:
            on_progress((len(contexts) - left) * n)
        with graceful() as stop:
            for part in _parts(todo, n):
                stop.check(_STOPPED, fix=self._fix or None)
                answered = self._asked(contexts, part, n, sampling, policy, on_progress)
                for place, group in zip(part, answered, strict=True):
                    found[place] = group
                    if len(group.samples) == n:  # an answer that never came is asked for again
                        self._file.add(keys[place], group)
        return [_about(one, asked) for one, asked in zip(found, contexts, strict=True) if one is not None]

    def _asked(
        self,
        contexts: Sequence[Context],
        part: Sequence[int],
        n: int,
        sampling: Sampling,
        policy: str | Mixture,
        on_progress: OnProgress | None,
    ) -> list[Group]:
        try:
            return self.inner.generate([contexts[place] for place in part], n, sampling, policy, on_progress)
        except Interrupted as error:
            error.fix = self._fix or error.fix
            raise

    def _keys(
        self,
        contexts: Sequence[Context],
        units: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        policy: str | Mixture,
    ) -> list[str]:
        who = policy if isinstance(policy, str) else policy.label
        common = [self._identity, who, n, sampling.model_dump(mode="json")]
        found = [""] * len(contexts)
        for unit in units:
            for nth, place in enumerate(unit):
                found[place] = sha256_json([*common, _words(contexts[place]), nth])
        return found


def _equal(contexts: Sequence[Context]) -> list[list[int]]:
    """Places of equal contexts, together."""
    places: dict[Context, list[int]] = {}
    for place, context in enumerate(contexts):
        places.setdefault(context, []).append(place)
    return list(places.values())


def _parts(units: Sequence[Sequence[int]], n: int) -> Iterator[list[int]]:
    """Places that are asked together."""
    part: list[int] = []
    for unit in units:
        if part and (len(part) + len(unit)) * n > AT_ONCE:
            yield part
            part = []
        part += unit
    if part:
        yield part


def _words(context: Context) -> list[Any]:
    content = context.content
    said = content if isinstance(content, str) else [[turn.role, turn.content] for turn in content]
    return [said, list(context.token_ids)]


def _about(group: Group, context: Context) -> Group:
    """The answers with the context they were asked in."""
    return replace(group, samples=tuple(replace(sample, context=context) for sample in group.samples))
