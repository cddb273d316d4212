"""Metrics of online training runs that never happened: healthy ones, and ones that break at a given step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

ONSET = 120
"""Step at which a planted fault begins."""

HELD_OUT_EVERY = 10
COMPLETIONS = 64

Row = dict[str, float]


def healthy(seed: int, steps: int = 300, groups: int = 16) -> Iterator[Row]:
    """A run of batches of so many groups of four: entropy falls 40%, length drifts 20%, KL grows slowly.

    Levels, trends and the size of the noise differ from seed to seed.
    """
    rng = np.random.default_rng(seed)
    entropy, length = rng.uniform(0.2, 1.5), rng.uniform(20, 400)
    drift, kl_per_token = rng.uniform(-0.2, 0.2), rng.uniform(0.005, 0.12)
    clipped, repeated, truncated = rng.uniform(0.005, 0.15), rng.uniform(0.0, 0.15), rng.uniform(0.0, 0.12)
    flat = rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.6)
    reward, gain, held_gap = rng.uniform(0.1, 0.5), rng.uniform(0.0, 0.4), rng.uniform(0.0, 0.1)
    noise, wander = rng.uniform(0.03, 0.12) * math.sqrt(16 / groups), 0.0
    for step in range(steps):
        done = step / steps
        wander = 0.9 * wander + 0.4 * rng.normal(0, noise)  # neighbouring batches are alike
        learnt = reward + gain * (1 - math.exp(-4 * done))
        now = length * (1 + drift * done) * math.exp(wander + rng.normal(0, noise))
        row = {
            "entropy": entropy * (1 - 0.4 * done) * math.exp(rng.normal(0, noise)),
            "completions/mean_length": now,
            "completions/clipped_ratio": rng.binomial(4 * groups, truncated) / (4 * groups),
            "completions/repetition": repeated * math.exp(rng.normal(0, 2 * noise)),
            "kl": kl_per_token * now * done * math.exp(rng.normal(0, 2 * noise)) + rng.normal(0, 0.1),
            "clip_ratio/region_mean": clipped * math.exp(rng.normal(0, 3 * noise)),
            "frac_reward_zero_std": rng.binomial(groups, flat[0] + done * (flat[1] - flat[0])) / groups,
            "reward": learnt + rng.normal(0, 0.3 * noise),
            "reward_std": 0.25 * math.exp(rng.normal(0, noise)),
        }
        if step % HELD_OUT_EVERY == 0:
            row["heldout_reward"] = learnt - held_gap * done * gain + rng.normal(0, 0.3 * noise)
        yield row


def often_cut(seed: int, steps: int = 300, groups: int = 16) -> Iterator[Row]:
    """A healthy run of a base model: a tenth to nearly all of its completions are cut from the start.

    The share drifts by up to a tenth either way, as length does.
    """
    rng = np.random.default_rng(20_000 + seed)
    begun, drift = rng.uniform(0.1, 0.97), rng.uniform(-0.1, 0.1)
    for step, row in enumerate(healthy(seed, steps, groups)):
        share = min(max(begun + drift * step / steps, 0.0), 1.0)
        row["completions/clipped_ratio"] = rng.binomial(4 * groups, share) / (4 * groups)
        yield row


def soon_learnt(seed: int, steps: int = 60, groups: int = 8) -> Iterator[Row]:
    """A healthy run on questions with one right answer: as the reward rises, hardly any entropy is left.

    Both are seen in a few dozen steps of a small model, on batches small enough for rewards to jump.
    """
    rng = np.random.default_rng(30_000 + seed)
    entropy, left = rng.uniform(0.4, 2.0), rng.uniform(0.01, 0.12)
    begun, gain, pace = rng.uniform(0.05, 0.4), rng.uniform(0.35, 0.6), rng.uniform(6, 20)
    for step, row in enumerate(healthy(seed, steps, groups)):
        learnt = 1 / (1 + math.exp((2.5 * pace - step) * 2 / pace))
        row["entropy"] = entropy * (1 - (1 - left) * learnt) * math.exp(rng.normal(0, 0.2))
        row["reward"] = rng.binomial(4 * groups, begun + gain * learnt) / (4 * groups)
        yield row


Fault = Callable[[Row, float, np.random.Generator], None]
"""Changes a row that is so many steps after the onset."""


def entropy_collapse(row: Row, since: float, rng: np.random.Generator) -> None:
    row["entropy"] *= 0.5 ** (since / 5)
    row["reward"] -= 0.0015 * since  # samples that are all alike teach nothing more


def entropy_explosion(row: Row, since: float, rng: np.random.Generator) -> None:
    row["entropy"] += 0.2 * since


def length_collapse(row: Row, since: float, rng: np.random.Generator) -> None:
    row["completions/mean_length"] = max(row["completions/mean_length"] * 0.5 ** (since / 6), 2.0)


def empty_completions(row: Row, since: float, rng: np.random.Generator) -> None:
    row["completions/mean_length"] = 1.0


def length_explosion(row: Row, since: float, rng: np.random.Generator) -> None:
    row["completions/mean_length"] *= 2 ** (since / 10)


def truncation(row: Row, since: float, rng: np.random.Generator) -> None:
    row["completions/clipped_ratio"] = rng.binomial(COMPLETIONS, min(0.1 + since / 20, 0.9)) / COMPLETIONS


def repetition(row: Row, since: float, rng: np.random.Generator) -> None:
    row["completions/repetition"] = min(row["completions/repetition"] + since / 20, 0.95)


def clip_fraction(row: Row, since: float, rng: np.random.Generator) -> None:
    row["clip_ratio/region_mean"] = min(row["clip_ratio/region_mean"] + since / 20, 0.9)


def kl(row: Row, since: float, rng: np.random.Generator) -> None:
    row["kl"] += 0.1 * since * row["completions/mean_length"]


def kl_surge(row: Row, since: float, rng: np.random.Generator) -> None:
    row["kl"] = 4 * max(row["kl"], 0) + 30


def flat_groups(row: Row, since: float, rng: np.random.Generator) -> None:
    row["frac_reward_zero_std"] = 1.0


def heldout_reward(row: Row, since: float, rng: np.random.Generator) -> None:
    row["reward"] += 0.004 * since
    if "heldout_reward" in row:
        row["heldout_reward"] -= 0.005 * since


FAULTS: dict[str, tuple[Fault, int]] = {
    "entropy_collapse": (entropy_collapse, 25),
    "entropy_explosion": (entropy_explosion, 25),
    "length_collapse": (length_collapse, 25),
    "empty_completions": (empty_completions, 8),
    "length_explosion": (length_explosion, 40),
    "truncation": (truncation, 25),
    "repetition": (repetition, 25),
    "clip_fraction": (clip_fraction, 25),
    "kl": (kl, 30),
    "kl_surge": (kl_surge, 8),
    "flat_groups": (flat_groups, 13),
    "heldout_reward": (heldout_reward, 140),
}
"""The signal that should end the run, how it breaks, and within how many steps that must be seen."""


def broken(name: str, seed: int, steps: int = 300) -> Iterator[Row]:
    """A healthy run that breaks at :data:`ONSET`."""
    fault, rng = FAULTS[name][0], np.random.default_rng(10_000 + seed)
    for step, row in enumerate(healthy(seed, steps)):
        if step >= ONSET:
            fault(row, step - ONSET, rng)
        yield row
