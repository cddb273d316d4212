"""Small online runs on the tiny model: a reward anyone can see, a loop over its rollouts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from charter.catalogue import lookup
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.models.load import load
from charter.models.policy import Policy
from charter.training.loop import Loop
from charter.training.online import OnlineRun
from charter.training.terms import terms_of
from charter.types import Group, Judgement, Sample, SampleTarget

WANTED = frozenset(range(64, 128))


def share_wanted(sample: Sample) -> float | None:
    """Share of the tokens that are among a quarter of the alphabet."""
    ids = sample.completion.token_ids
    return sum(token in WANTED for token in ids) / len(ids)


@dataclass
class FakeRewards:
    """Rewards samples by functions; None = no reward, an exception = an error."""

    functions: dict[str, Callable[[Sample], float | None]] = field(
        default_factory=lambda: {"wanted": share_wanted}
    )

    @property
    def names(self) -> Sequence[str]:
        return list(self.functions)

    @property
    def weights(self) -> Sequence[float]:
        return [1.0] * len(self.functions)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        return [
            [
                self._say(name, index, sample)
                for index, sample in enumerate(group.samples)
                for name in self.functions
            ]
            for group in groups
        ]

    def _say(self, name: str, index: int, sample: Sample) -> Judgement:
        target = SampleTarget(index)
        try:
            value = self.functions[name](sample)
        except ValueError as error:
            return Judgement(target, verdict="error", principle=name, reason=str(error))
        if value is None:
            return Judgement(target, verdict="abstained", principle=name)
        return Judgement(target, value, principle=name)

    def table(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        return [
            [
                [self._value(group, index, name) for name in self.functions]
                for index in range(len(group.samples))
            ]
            for group in groups
        ]

    def _value(self, group: Group, index: int, name: str) -> float:
        found = [
            j.value
            for j in group.judgements
            if j.target == SampleTarget(index) and j.principle == name and j.value is not None
        ]
        return found[0] if found else math.nan

    def missing(self, groups: Sequence[Group]) -> list[Any]:
        return []

    def combined(self, groups: Sequence[Group]) -> list[list[float]]:
        return [[math.fsum(row) for row in rows] for rows in self.table(groups)]


def online_loop(
    model: str,
    directory: Path,
    algorithm: str = "grpo",
    *,
    rewards: Any = None,
    policy: Policy | None = None,
    hooks: Sequence[Any] = (),
    prompts: int = 6,
    texts: int = 0,
    columns: dict[str, Any] | None = None,
    **changes: Any,
) -> Loop:
    """A loop over rollouts of ``prompts`` prompts with a fresh policy, beside ``texts`` of pretraining."""
    values: dict[str, Any] = {
        "learning_rate": 3e-3,
        "max_steps": 6,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 8,
        "bf16": False,
        "reward_funcs": ("wanted",),
        **changes,
    }
    values = {name: value for name, value in values.items() if value is not None}
    entry = lookup(algorithm)
    options: Any = entry.options(**values)
    policy = policy or load(model, bf16=False)
    rows = [
        {"prompt": [{"role": "user", "content": f"Say {'abc' * (i % 3)} {i}"}], **(columns or {})}
        for i in range(prompts)
    ]
    groups = prepare(load_groups(rows, "prompts"), policy.template).groups
    beside = None
    if texts:
        loaded = load_groups([{"text": f"It is {'so ' * (i % 3)}{i}."} for i in range(texts)], "sft")
        made = prepare(loaded, policy.template).groups
        beside = replace(loaded, groups=tuple(replace(group, part="pretrain") for group in made))
    return Loop(
        policy,
        terms_of(entry, options),
        options,
        groups,
        directory,
        data_fingerprint="prompts",
        hooks=hooks,
        online=OnlineRun(entry, options, groups, rewards or FakeRewards(), beside=beside),
    )
