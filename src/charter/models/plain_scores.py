"""Whole next-token distributions through a forward that can be differentiated twice.

The fast forward has gradients written out by hand, and the attention kernels of PyTorch have no second
derivative. Here transformers runs its own eager attention in float32, where autograd sees every operation.

Shapes: T stream tokens, N scored tokens, D distinct positions that predict one, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from charter.data.packing import Ints, Packed
from charter.models import plain


def predictors(packed: Packed) -> tuple[Ints, Ints]:
    """Stream positions that predict a scored token, ``(D,)`` ascending, and how many each predicts.

    Completions of one prompt share its last position, so D may be smaller than N.
    """
    positions_D, counts_D = np.unique(packed.predictor_U[packed.unique_N], return_counts=True)
    return positions_D, counts_D.astype(np.int64)


def next_token_logps(model: Any, packed: Packed, temperature: float = 1.0) -> Tensor:
    """Log-probabilities of the whole vocabulary at :func:`predictors`, ``(D, V)``; twice differentiable.

    Costs a padded forward with float32 activations. With gradients it keeps the square attention matrix of
    every head and layer, and several tensors of D times V floats; gradients of gradients keep those again.

    Args:
        model: a causal language model of transformers, plain or with a LoRA adapter, weights in float32.
        packed: from :func:`charter.data.packing.pack`, with a scored token at least.
        temperature: logits are divided by it.
    """
    positions_D, _ = predictors(packed)
    with eager_attention(model):
        logits_DV = plain.logits_at(model, packed, positions_D)
    return torch.log_softmax(logits_DV / temperature, dim=-1)


def summed_kl(old_logps_DV: Tensor, logps_DV: Tensor, packed: Packed) -> Tensor:
    """Exact ``KL(old || new)`` of the next-token distributions, summed over the N scored tokens; nats.

    Both from :func:`next_token_logps`. Positions without a scored token are in neither.
    """
    kl_D = (old_logps_DV.exp() * (old_logps_DV - logps_DV)).sum(-1)
    counts_D = torch.from_numpy(predictors(packed)[1]).to(kl_D)
    return (kl_D * counts_D).sum()


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Attention of transformers' own operations: the fused kernels have no second derivative."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = inner.config._attn_implementation
    inner.set_attn_implementation("eager")
    try:
        yield
    finally:
        inner.set_attn_implementation(before)
