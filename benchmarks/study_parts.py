"""What every study does: sample a file of prompts, read a cell, put an interval on a mean."""

from __future__ import annotations

import json
import resource
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.models.policy import Policy
from charter.rundir import machine, versions
from charter.stats import bootstrap_mean
from charter.types import Group

Row = dict[str, Any]
RESAMPLES = 4000


def sampled(
    policy: Policy, file: Path, n: int, tokens: int, seed: int, limit: int | None = None
) -> list[Group]:
    """``n`` completions of each of the first ``limit`` prompts of a file, at temperature 1."""
    prompts = prepare(load_groups(str(file), "prompts"), policy.template).groups[:limit]
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    return sample_prompts(
        engine, prompts, n, Sampling(temperature=1.0, max_completion_length=tokens, seed=seed)
    )


def interval(by_seed: Sequence[Sequence[float]]) -> list[float]:
    """Mean with its 95% interval: prompts are drawn, each with its answers of all seeds.

    Args:
        by_seed: for each seed one value a prompt.
    """
    return interval_of(list(zip(*by_seed, strict=True)))


def interval_of(clusters: Sequence[Sequence[float]]) -> list[float]:
    """Mean over prompts of each prompt's mean, with its 95% interval; prompts are drawn."""
    found = bootstrap_mean(clusters, resamples=RESAMPLES)
    return [statistics.fmean(statistics.fmean(c) for c in clusters), found.lo, found.hi]


def memory_mib() -> float:
    """Peak memory of this process: the GPU's where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def circumstances() -> Row:
    """Where and with what a cell was measured."""
    return {
        "machine": machine(),
        "versions": versions(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def read_cell(file: Path) -> Row:
    """A finished cell."""
    row: Row = json.loads(file.read_text(encoding="utf-8"))
    return row
