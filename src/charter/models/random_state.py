"""torch's random numbers on every device: seeded without being taken from the caller, kept and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, random numbers go by ``seed``; afterwards they go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield


def random_state() -> dict[str, Tensor]:
    """Where the random numbers stand, by device: ``cpu``, ``cuda:0`` ...; bytes, on the CPU."""
    states = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), **{f"cuda:{i}": state for i, state in enumerate(states)}}


def set_random_state(states: Mapping[str, Tensor]) -> None:
    """Put random numbers back to where they stood; devices that are not there now are left out."""
    torch.set_rng_state(states["cpu"])
    for i in range(torch.cuda.device_count()):
        if f"cuda:{i}" in states:
            torch.cuda.set_rng_state(states[f"cuda:{i}"], i)
