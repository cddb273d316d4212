"""Rollouts as a source of training groups: rounds of sampling, each trained on for some steps.

A round lives in a file of the run directory until no checkpoint needs it, so a
run that is stopped in the middle of a round goes on with the same rollouts.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.records import group_from_json, group_to_json
from charter.rundir import append_jsonl, read_json, read_jsonl, write_json, write_jsonl
from charter.training.improve import Improve
from charter.training.round import Memory, Round
from charter.training.source import DatasetSource
from charter.types import Group, SampleTarget

FOLDER = "rollouts"
SAMPLES = "samples.jsonl"

MakeRound = Callable[[Iterator[Group], int, int, Memory], Round]
"""See :class:`charter.training.round.RoundMaker`."""


class RolloutSource:
    """Rounds of rollouts of a set of prompts.

    Args:
        prompts: rendered, one sample each.
        make: makes a round.
        directory: the run's.
        prompts_per_round: prompts sampled in a round.
        steps_per_generation: optimizer steps a round's groups are split over.
        num_iterations: passes over a round.
        seed: decides the order of prompts and what is sampled.
        keep: rounds of so many checkpoints are kept.
        target_kl: a round is left once the steps' ``approx_kl`` exceeds 1.5 times this; None = never.
        restarts: every round is trained on from the first weights (ReST-EM).
        beside: other data each step is trained on too (PPO-ptx).
        thresholds: a round is gone over once for each of them, on the samples whose reward reaches it
            (ReST's improve steps); none = once, on all.
    """

    def __init__(
        self,
        prompts: Sequence[Group],
        make: MakeRound,
        directory: Path,
        *,
        prompts_per_round: int,
        steps_per_generation: int,
        num_iterations: int,
        seed: int,
        keep: int = 2,
        target_kl: float | None = None,
        restarts: bool = False,
        beside: DatasetSource | None = None,
        thresholds: Sequence[float] = (),
    ) -> None:
        if not prompts:
            raise UserError("no prompts to sample")
        self.prompts, self._make, self._directory = prompts, make, directory
        self._per_round, self._parts, self._iterations = (
            prompts_per_round,
            steps_per_generation,
            num_iterations,
        )
        self._seed, self._keep, self._target_kl, self._restarts = seed, keep, target_kl, restarts
        self._beside, self._thresholds = beside, tuple(thresholds)
        self._improve: Improve | None = None
        self._round = -1
        self._groups: Sequence[Group] = ()
        self._metrics: Mapping[str, float] = {}
        self._left = False  # the round was left early
        self.memory: Memory = {}
        self._cursor = 0
        self._saved_rounds: list[int] = []

    @property
    def steps_per_round(self) -> int:
        """Optimizer steps of a round."""
        return self._parts * self._iterations * max(len(self._thresholds), 1)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that sample every prompt once."""
        return math.ceil(len(self.prompts) / self._per_round) * self.steps_per_round

    def step(self, number: int) -> Sequence[Group]:
        """See :class:`charter.training.source.Source`; empty where there is nothing to learn from."""
        number_of_round, within = divmod(number, self.steps_per_round)
        if number_of_round != self._round:
            self._open(number_of_round)
        if self._left:
            return []
        iteration, part = divmod(within, self._parts)
        usable = self._usable(iteration // self._iterations)
        order = list(range(len(usable)))
        random.Random(f"{self._seed}:{number_of_round}:{iteration}").shuffle(order)
        start, end = (len(order) * at // self._parts for at in (part, part + 1))
        groups = [usable[i] for i in order[start:end]]
        return groups if self._beside is None else [*groups, *self._beside.step(number)]

    def metrics(self) -> Mapping[str, float]:
        """Of the round in hand, and of its improve step."""
        improve = {} if self._improve is None else self._improve.metrics()
        return {**self._metrics, "rollouts/round": float(self._round + 1), **improve}

    def _usable(self, number: int) -> Sequence[Group]:
        """What improve step ``number`` of the round in hand is trained on."""
        if not self._thresholds:
            return self._groups
        if self._improve is None or self._improve.number != number:
            self._improve = Improve.of(number, self._groups, self._thresholds[number])
        return self._improve.groups

    def starts_afresh(self, number: int) -> bool:
        """Whether step ``number`` is trained from the first weights."""
        return self._restarts and number > 0 and number % self.steps_per_round == 0

    def policy_updated(self, version: int, metrics: Mapping[str, float]) -> None:
        """See :class:`charter.training.source.Source`."""
        if self._target_kl is not None and metrics.get("approx_kl", 0.0) > 1.5 * self._target_kl:
            self._left = True

    # -- rounds ------------------------------------------------------------

    def _open(self, number: int) -> None:
        """Have the round in hand: from its file, or made now."""
        path = self._path(number)
        if path.exists() and (stored := read_json(path.with_suffix(".json"))) is not None:
            self._groups = [group_from_json(row) for row in read_jsonl(path)]
            self._metrics, self.memory, self._cursor = stored["metrics"], stored["memory"], stored["cursor"]
        else:
            # What is remembered changes only when the round is whole.
            memory, prompts = deepcopy(self.memory), _Prompts(self.prompts, self._seed, self._cursor)
            made = self._make(prompts, self._per_round, _seed(self._seed, number), memory)
            self.memory, self._cursor = memory, prompts.cursor
            self._groups, self._metrics = made.groups, made.metrics
            self._write(number, made)
        self._round, self._left, self._improve = number, False, None

    def _write(self, number: int, made: Round) -> None:
        path = self._path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(path, (group_to_json(group) for group in made.groups))
        state = {"metrics": dict(made.metrics), "memory": self.memory, "cursor": self._cursor}
        write_json(path.with_suffix(".json"), state)
        for group in made.rollouts:
            for row in _rows(number, group):
                append_jsonl(self._directory / SAMPLES, row)

    def _path(self, number: int) -> Path:
        return self._directory / FOLDER / f"round-{number:06d}.jsonl"

    # -- checkpoints -------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the round's file."""
        return {
            "memory": self.memory,
            "cursor": self._cursor,
            "round": self._round,
            "left": self._left,
            "saved_rounds": self._saved_rounds,
        }

    def load_state(self, state: Mapping[str, Any], step: int) -> None:
        """Continue after ``step`` steps; rounds of later steps are forgotten.

        Raises:
            UserError: the round that was in hand is gone.
        """
        self.memory, self._cursor = dict(state["memory"]), state["cursor"]
        # The checkpoint that is loaded is one of those kept, and so are some before it.
        self._saved_rounds = [*state["saved_rounds"], state["round"]][-self._keep :]
        current, within = divmod(step, self.steps_per_round)
        self._forget(current if within else current - 1)
        if within:
            if not self._path(current).exists():
                raise UserError(
                    f"the rollouts of round {current + 1} are gone",
                    where=str(self._path(current)),
                    fix="restore the file, or start over with resume: never",
                )
            self._open(current)
            self._left = state["left"] and state["round"] == current

    def start_over(self) -> None:
        """Forget every round, for a run that starts at its beginning."""
        shutil.rmtree(self._directory / FOLDER, ignore_errors=True)
        (self._directory / SAMPLES).unlink(missing_ok=True)

    def saved(self) -> None:
        """A checkpoint was written: rounds that no kept checkpoint needs are deleted."""
        self._saved_rounds = [*self._saved_rounds, self._round][-self._keep :]
        oldest = min(self._saved_rounds)
        for path in (self._directory / FOLDER).glob("round-*"):
            if int(path.stem.partition("-")[2]) < oldest:
                path.unlink(missing_ok=True)

    def _forget(self, last: int) -> None:
        """Delete what belongs to rounds after ``last``."""
        for path in (self._directory / FOLDER).glob("round-*"):
            if int(path.stem.partition("-")[2]) > last:
                path.unlink(missing_ok=True)
        samples = self._directory / SAMPLES
        if samples.exists():
            write_jsonl(samples, (row for row in read_jsonl(samples) if row["round"] <= last + 1))


class _Prompts:
    """Prompts from the ``cursor``-th on, without end; each epoch in an order of its own."""

    def __init__(self, prompts: Sequence[Group], seed: int, cursor: int) -> None:
        self.prompts, self.seed, self.cursor = prompts, seed, cursor
        self._epoch = -1
        self._order: list[int] = []

    def __iter__(self) -> Iterator[Group]:
        return self

    def __next__(self) -> Group:
        epoch, within = divmod(self.cursor, len(self.prompts))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, list(range(len(self.prompts)))
            random.Random(f"{self.seed}:prompts:{epoch}").shuffle(self._order)
        self.cursor += 1
        return self.prompts[self._order[within]]


def _seed(seed: int, number: int) -> int:
    """A seed for the tokens of a round."""
    return random.Random(f"{seed}:tokens:{number}").randrange(2**62)


def _rows(number: int, group: Group) -> Iterator[dict[str, Any]]:
    """The rollouts of a group as people read them."""
    for index, sample in enumerate(group.samples):
        said = {
            j.principle or j.judge: j.value if j.verdict == "judged" else f"{j.verdict}: {j.reason}"
            for j in group.judgements
            if isinstance(j.target, SampleTarget) and j.target.sample == index
        }
        yield {
            "round": number + 1,
            "id": group.id,
            "prompt": sample.context.text,
            "completion": sample.completion.text,
            "finish_reason": sample.completion.finish_reason,
            "sampled_by": sample.completion.sampled_by,
            "weight_version": sample.completion.weight_version,
            "rewards": said,
        }
