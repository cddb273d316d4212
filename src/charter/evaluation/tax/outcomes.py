"""What one model got right, item by item; written down after every task, so that a stop loses little."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charter.data.prepare import prepare
from charter.engines.base import Engine, OnProgress, Sampling
from charter.engines.sample import sample_prompts
from charter.environments.tasks import load_prompts
from charter.feedback.rewards import Rewards
from charter.interrupt import graceful
from charter.rundir import append_jsonl, read_jsonl, sha256_json
from charter.types import Group

FULL = 1.0
"""Least score of a right answer: partial credit is none."""


@dataclass(frozen=True)
class TaskOutcome:
    """One model on one task.

    Attributes:
        right: of each item whether each answer is right; an answer that could not be checked is not there.
        words: of each item the mean words of an answer.
        missing: answers that could not be checked.
        truncated: share of answers cut by the limit.
    """

    right: Mapping[str, Sequence[bool]]
    words: Mapping[str, float]
    missing: int
    truncated: float


class Journal:
    """Outcomes in a file, by what was asked of whom; without a file nothing is kept.

    Args:
        path: JSON lines.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, dict[str, Any]] = (
            {} if path is None else {row["key"]: row["outcome"] for row in read_jsonl(path)}
        )

    def get(self, key: str) -> TaskOutcome | None:
        """What was found before."""
        row = self._known.get(key)
        return None if row is None else TaskOutcome(**row)

    def put(self, key: str, task: str, outcome: TaskOutcome) -> None:
        """Keep it."""
        if self.path is not None:
            append_jsonl(self.path, {"key": key, "task": task, "outcome": asdict(outcome)})


def load_tasks(specs: Mapping[str, str], rewards: Rewards) -> dict[str, tuple[Group, ...]]:
    """The prompts of every task, checked before a model loads.

    Raises:
        ConfigError: no such task.
        EnvironmentFault: reasoning-gym is not installed.
    """
    found = {name: load_prompts(spec).groups for name, spec in specs.items()}
    for groups in found.values():
        rewards.check(groups)
    return found


def outcomes_of(
    engine: Engine,
    template: Any,
    specs: Mapping[str, str],
    prompts: Mapping[str, Sequence[Group]],
    rewards: Rewards,
    sampling: Sampling,
    n: int,
    *,
    identity: str,
    journal: Journal,
    on_progress: OnProgress | None = None,
) -> dict[str, TaskOutcome]:
    """Ask one model every task.

    Args:
        engine: the model.
        template: renders its prompts.
        specs: of the tasks, by name.
        prompts: of the tasks, by name.
        rewards: check answers.
        sampling: how answers are sampled.
        n: answers to each item.
        identity: of the model, for the journal.
        journal: keeps what is done.
        on_progress: called with the number of answers finished.

    Raises:
        Interrupted: the person asked to stop; finished tasks are kept.
    """
    found = {}
    with graceful() as stop:
        for name, groups in prompts.items():
            asked = {
                "model": identity,
                "spec": specs[name],
                "sampling": sampling.model_dump(mode="json"),
                "n": n,
            }
            key = sha256_json(asked)
            known = journal.get(key)
            if known is None:
                stop.check("stopped between two tasks", fix="run it again with the same --output to go on")
                known = _ask(engine, template, groups, specs[name], rewards, sampling, n, on_progress)
                journal.put(key, name, known)
            elif on_progress is not None:
                on_progress(len(groups) * n)
            found[name] = known
    return found


def _ask(
    engine: Engine,
    template: Any,
    groups: Sequence[Group],
    source: str,
    rewards: Rewards,
    sampling: Sampling,
    n: int,
    on_progress: OnProgress | None,
) -> TaskOutcome:
    from charter.data.formats import LoadedData

    rendered = prepare(LoadedData(tuple(groups), {}, "prompts", source), template).groups
    answered = sample_prompts(engine, rendered, n, sampling, on_progress=on_progress)
    judged = [g.with_judgements(*said) for g, said in zip(answered, rewards.judge(answered), strict=True)]
    right: dict[str, list[bool]] = {}
    missing = 0
    for group, values in zip(judged, rewards.combined(judged), strict=True):
        known = [value >= FULL for value in values if not math.isnan(value)]
        missing += len(values) - len(known)
        right[group.id] = known
    samples = [sample for group in judged for sample in group.samples]
    cut = sum(sample.completion.finish_reason == "length" for sample in samples)
    words = {g.id: sum(len(s.completion.text.split()) for s in g.samples) / len(g.samples) for g in judged}
    return TaskOutcome(right, words, missing, cut / len(samples))
