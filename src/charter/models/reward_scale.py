"""From a reward model's raw outputs to one score whose units mean something.

Raw rewards have an arbitrary origin and unit, so they are standardised on a
fixed set of answers after training; only then do weights of dimensions, or the
mean of several models, mean anything. Mean and deviation lie in ``reward.json``
beside the model; the model's own outputs stay what transformers gives.

Shapes: B samples, Z dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charter.errors import ConfigError, UserError, did_you_mean
from charter.models.trained_as import FILE, TrainedAs
from charter.rundir import read_json, write_json

_FLAT = 1e-6
"""A deviation below this is no spread to divide by."""


def weighted_sum(reward_BZ: Tensor, weight_Z: Tensor) -> Tensor:
    """``sum_z w_z r_z`` of each sample, ``(B,)`` (Dong et al. 2023, 2310.05344).

    A missing attribute (NaN) is left out, never 0: the weights of the others are scaled up to the
    same sum. NaN where all that have a weight are missing.
    """
    known_BZ = ~reward_BZ.isnan()
    weight_BZ = torch.where(known_BZ, weight_Z, torch.zeros_like(weight_Z))
    total_B = (weight_BZ * torch.where(known_BZ, reward_BZ, torch.zeros_like(reward_BZ))).sum(-1)
    share_B = weight_BZ.sum(-1) / weight_Z.sum()
    return torch.where(share_B > 0, total_B / share_B, torch.full_like(total_B, torch.nan))


@dataclass(frozen=True)
class RewardScale:
    """Mean and deviation of each dimension over a fixed set of answers.

    Attributes:
        names: the dimensions.
        mean: of each dimension.
        std: population deviation of each.
        samples: how many answers were measured; 0 = nothing was, and rewards stay as they are.
        data: which answers: ``evaluation data`` or ``training data``.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    samples: int = 0
    data: str = ""

    @classmethod
    def unmeasured(cls, names: Sequence[str]) -> RewardScale:
        """Mean 0 and deviation 1."""
        return cls(tuple(names), (0.0,) * len(names), (1.0,) * len(names))

    @classmethod
    def of(cls, names: Sequence[str], reward_BZ: Tensor, data: str) -> RewardScale:
        """Measured on the rewards of some answers.

        A dimension that gives every answer the same reward keeps deviation 1: it cannot be spread.
        """
        found = reward_BZ.double()
        std_Z = found.std(0, unbiased=False)
        std_Z = torch.where(std_Z > _FLAT, std_Z, torch.ones_like(std_Z))
        return cls(tuple(names), tuple(found.mean(0).tolist()), tuple(std_Z.tolist()), len(found), data)

    def normalised(self, reward_BZ: Tensor) -> Tensor:
        """``(r - mean) / std`` of each dimension, ``(B, Z)`` float64."""
        mean_Z, std_Z = (torch.tensor(x, dtype=torch.float64) for x in (self.mean, self.std))
        return (reward_BZ.double().cpu() - mean_Z) / std_Z

    def scalar(self, reward_BZ: Tensor, weights: Mapping[str, float] | None = None) -> Tensor:
        """``sum_z w_z (r_z - mean_z) / std_z`` of each sample, ``(B,)`` float64.

        Args:
            reward_BZ: raw rewards; NaN = missing.
            weights: by name of the dimension; one that is not named weighs 0. None = all the same,
                with sum 1.

        Raises:
            ConfigError: an unknown name, a weight below 0, or nothing but zeros.
        """
        return weighted_sum(self.normalised(reward_BZ), self._weight_Z(weights))

    def _weight_Z(self, weights: Mapping[str, float] | None) -> Tensor:
        if weights is None:
            return torch.full((len(self.names),), 1 / len(self.names), dtype=torch.float64)
        for name, weight in weights.items():
            if name not in self.names:
                raise ConfigError(f"no dimension {name!r}; {did_you_mean(name, self.names)}", where="weights")
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"the weight of {name!r} is {weight}, wanted at least 0", where="weights")
        if not any(weights.values()):
            raise ConfigError("every weight is 0", where="weights", fix="give a dimension some weight")
        return torch.tensor([weights.get(name, 0.0) for name in self.names], dtype=torch.float64)

    def save(self, folder: Path) -> None:
        """Write it into the ``reward.json`` of a model folder, beside how the model was trained."""
        write_json(
            folder / FILE,
            {
                **(read_json(folder / FILE) or {}),
                "dimensions": list(self.names),
                "mean": list(self.mean),
                "std": list(self.std),
                "samples": self.samples,
                "data": self.data,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> RewardScale | None:
        """Read it from the ``reward.json`` of a model folder; None where there is none, or no reward head.

        Raises:
            UserError: it is damaged.
        """
        path = folder / FILE
        if not path.exists():
            return None
        found: dict[str, Any] = read_json(path) or {}
        trained = TrainedAs.load(folder)
        if trained is not None and not trained.has_head:
            return None
        try:
            made = cls(
                tuple(str(name) for name in found["dimensions"]),
                tuple(float(x) for x in found["mean"]),
                tuple(float(x) for x in found["std"]),
                int(found["samples"]),
                str(found["data"]),
            )
        except (KeyError, TypeError, ValueError):
            made = cls((), (), ())
        numbers = (*made.mean, *made.std)
        whole = 0 < len(made.names) == len(made.mean) == len(made.std)
        if not whole or not all(math.isfinite(x) for x in numbers) or min(made.std) <= 0:
            raise UserError(
                "it does not hold one mean and one deviation for each dimension",
                where=str(path),
                fix="train again, or remove the file: rewards are then not normalised",
            )
        return made
