"""Every algorithm that writes its own training data raises the reward of what it writes."""

from __future__ import annotations

from typing import Any

import pytest
from declaration import LEARNS
from declared_online import ONLINE, TASK
from reward_of_letters import letters
from running import Workshop

from charter.catalogue import ENTRIES
from charter.catalogue.rollouts import samplers_of
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
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
        if row["sampled_by"].startswith(samplers_of(spec, loop.options)[0]):  # type: ignore[arg-type]
            found.setdefault(row["round"], []).append(row["rewards"]["letters"])
    return [sum(one) / len(one) for _, one in sorted(found.items())]


@pytest.mark.parametrize("name", [name for name, declared in ONLINE.items() if declared.toy == LEARNS])
def test_raises_the_reward(name: str, workshop: Workshop) -> None:
    first, *later = rewards(name, workshop)
    assert first == pytest.approx(CHANCE, abs=NEAR)
    assert len(later) >= 3
    assert sum(later[-2:]) / 2 > max(first, CHANCE) + GAIN


@pytest.mark.parametrize("name", ["rso", "rs-dpo", "slic-rank"])
def test_learns_from_samples_of_the_first_model_alone(name: str, workshop: Workshop) -> None:
    """As published: what is sampled stays as it was, and the policy that learns from it writes better."""
    declared = ONLINE[name]
    steps = 2 * TASK["max_steps"]
    loop = workshop.loop(name, {**TASK, **declared.options, "max_steps": steps})
    loop.run()
    sampled = read_jsonl(loop.directory / "samples.jsonl")
    assert {row["sampled_by"] for row in sampled} == {"reference"}
    last = [row["rewards"]["letters"] for row in sampled if row["round"] == steps]
    assert sum(last) / len(last) == pytest.approx(CHANCE, abs=NEAR)
    engine = LocalEngine(loop.policy.model, loop.policy.tokenizer, compute_dtype=loop.policy.compute_dtype)
    sampling = Sampling(temperature=1.0, max_completion_length=2, seed=5)
    answers = sample_prompts(engine, loop.groups, 16, sampling)
    own = [letters(sample.completion.text) for group in answers for sample in group.samples]
    assert sum(own) / len(own) > CHANCE + GAIN


@pytest.mark.parametrize("name", ["grpo", "ppo", "online-dpo", "best-of-n"])
def test_nothing_is_raised_without_learning(name: str, workshop: Workshop) -> None:
    later = rewards(name, workshop, learning_rate=1e-9)[-2:]
    assert sum(later) / 2 < CHANCE + GAIN / 2
