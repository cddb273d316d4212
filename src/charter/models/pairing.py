"""A policy beside its reference: the same weights with the adapter off, or another model."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from charter.data.packing import Packed
from charter.models import blocks
from charter.models.policy import Policy, adapter_off
from charter.models.score import (
    divergence,
    divergence_of_hidden,
    final_softcap,
    hidden_states,
    is_llama_style,
    score,
)


@dataclass(frozen=True)
class Reference:
    """What a policy is measured against.

    Attributes:
        model: a model of its own, or None for "the policy with its adapter off".
    """

    model: Any | None

    @classmethod
    def frozen_copy(cls, policy: Policy) -> Reference:
        """The policy as it is now, kept apart in the compute type."""
        frozen = copy.deepcopy(policy.model).requires_grad_(False)
        for parameter in frozen.parameters():
            parameter.data = parameter.data.to(policy.compute_dtype)
        return cls(frozen.eval())

    @torch.no_grad()
    def logps(self, policy: Policy, packed: Packed, temperature: float = 1.0) -> Tensor:
        """Log-probs of the scored tokens under the reference, ``(N,)``; logits divided by ``temperature``."""
        dtype = policy.compute_dtype
        if self.model is not None:
            out = score(self.model, packed, compute_dtype=dtype, temperature=temperature)
        else:
            with adapter_off(policy.model) as model:
                out = score(model, packed, compute_dtype=dtype, temperature=temperature)
        assert out.logps_N is not None
        return out.logps_N

    @torch.no_grad()
    def divergence(self, policy: Policy, packed: Packed) -> Tensor:
        """Exact per-token ``KL(policy || reference)`` at the scored positions, nats, ``(N,)``."""
        dtype = policy.compute_dtype
        if self.model is not None:
            return divergence(policy.model, self.model, packed, compute_dtype=dtype)
        if not is_llama_style(policy.model):
            return _padded_divergence(policy, packed)
        hidden_U = hidden_states(policy.model, packed, dtype)
        with adapter_off(policy.model) as model:
            reference_U = hidden_states(model, packed, dtype)
        weight = blocks.head_weight(policy.model)
        softcap = final_softcap(policy.model)
        return divergence_of_hidden(hidden_U, reference_U, weight, weight, packed, softcap, softcap)


def _padded_divergence(policy: Policy, packed: Packed) -> Tensor:
    from charter.models import plain

    p = torch.log_softmax(plain.logits(policy.model, packed, policy.compute_dtype).float(), -1)
    with adapter_off(policy.model) as model:
        q = torch.log_softmax(plain.logits(model, packed, policy.compute_dtype).float(), -1)
    return (p.exp() * (p - q)).sum(-1)[torch.from_numpy(packed.unique_N).to(p.device)]
