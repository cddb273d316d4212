"""Every algorithm that writes its own training data raises the reward of what it writes."""

from __future__ import annotations

from typing import Any

import pytest
from declaration import LEARNS
from declared_online import ONLINE, TASK
from running import Workshop

from charter.catalogue import ENTRIES
from charter.rundir import read_jsonl

CHANCE = 52 / 258
"""Share of letters among all tokens: the reward to begin with."""

NEAR, GAIN = 0.12, 0.25
"""How far from chance the first round may be, and how much better the last two are than both at the least."""


def rewards(name: str, workshop: Workshop, **changes: Any) -> list[float]:
    """The mean reward of each round, of what the policy wrote (not its reference, not its opponent)."""
    declared = ONLINE[name]
    loop = workshop.loop(name, {**TASK, **declared.options, **declared.task, **changes})
    loop.run()
    spec = ENTRIES[name].rollouts
    assert spec is not None
    found: dict[int, list[float]] = {}
    for row in read_jsonl(loop.directory / "samples.jsonl"):
        if row["sampled_by"].startswith(spec.sampled_by[0]):
            found.setdefault(row["round"], []).append(row["rewards"]["letters"])
    return [sum(one) / len(one) for _, one in sorted(found.items())]


@pytest.mark.parametrize("name", [name for name, declared in ONLINE.items() if declared.toy == LEARNS])
def test_raises_the_reward(name: str, workshop: Workshop) -> None:
    first, *later = rewards(name, workshop)
    assert first == pytest.approx(CHANCE, abs=NEAR)
    assert len(later) >= 3
    assert sum(later[-2:]) / 2 > max(first, CHANCE) + GAIN


@pytest.mark.parametrize("name", ["grpo", "ppo", "online-dpo", "best-of-n"])
def test_nothing_is_raised_without_learning(name: str, workshop: Workshop) -> None:
    later = rewards(name, workshop, learning_rate=1e-9)[-2:]
    assert sum(later) / 2 < CHANCE + GAIN / 2
