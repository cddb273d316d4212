"""Numbers that completions carry with them: the sampler's log-probs, and the credit of rollouts."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from charter.data.packing import scored_tokens
from charter.errors import DataError
from charter.types import Sample

CreditField = Literal["advantages", "old_logps", "ref_logps", "values", "returns"]


def has_credit(samples: Collection[Sample], name: CreditField) -> bool:
    """Whether rollouts are among the samples that carry that field of :class:`charter.types.Credit`."""
    return any(sample.credit is not None and bool(getattr(sample.credit, name)) for sample in samples)


def credit_of(samples: Collection[Sample], name: CreditField) -> Tensor:
    """A field of :class:`charter.types.Credit` of the scored tokens, ``(N,)`` float32.

    NaN at tokens of samples that are no rollouts: other data, trained on beside them.

    Raises:
        DataError: a rollout does not carry it.
    """
    parts = []
    for sample in samples:
        values: Sequence[float] = [math.nan] * scored_tokens(sample)
        if sample.credit is not None:
            values = getattr(sample.credit, name)
            if not values:
                raise DataError(f"a rollout carries no {name}", fix="let this run sample its own rollouts")
        parts.append(np.asarray(values, dtype=np.float32))
    return torch.from_numpy(np.concatenate(parts))


def sampler_logps(samples: Collection[Sample]) -> Tensor:
    """Log-probs recorded when the completions were sampled, of the scored tokens, ``(N,)``.

    Raises:
        DataError: a completion carries none.
    """
    parts = []
    for sample in samples:
        completion = sample.completion
        if not completion.logps:
            raise DataError(
                "a completion carries no log-probs of the model that sampled it",
                fix="sample with `charter sample`, which records them",
            )
        kept = np.asarray(completion.trained, dtype=bool)
        if not sample.context.token_ids:
            kept = kept.copy()
            kept[0] = False
        parts.append(np.asarray(completion.logps, dtype=np.float32)[kept])
    return torch.from_numpy(np.concatenate(parts))
