"""The Fisher information of a policy as a product, and the flat view of what is trained.

Shapes: P trained weights, all parameters one after the other; D predicting positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from charter.data.packing import Packed
from charter.models.plain_scores import next_token_logps, summed_kl


class FisherProduct:
    """``F v``, ``F`` the Hessian at the policy of the mean of ``KL(policy || policy)`` over scored tokens.

    That Hessian is the Fisher information matrix ``E[grad log p grad log p^T]``, the expectation over the
    whole vocabulary at each position. The product is the gradient of ``(gradient of the KL) . v``
    (Pearlmutter 1994); the old distribution is the policy's own without gradient, at which the KL and its
    gradient are 0 and its Hessian is not. Nothing of size P times P is made.

    Each product recomputes every micro-batch, a forward and two backwards, and holds one at a time. A
    micro-batch that is alone keeps its forward and first backward, which the peak holds anyway, and each
    product is the second backward only.

    Args:
        model: weights in float32; must be as it is evaluated (no dropout), and not change while this is used.
        batches: one optimizer step; those without a scored token are left out.
        parameters: the trained ones.
        temperature: logits are divided by it.
    """

    def __init__(
        self, model: Any, batches: Sequence[Packed], parameters: Sequence[Tensor], temperature: float = 1.0
    ) -> None:
        self.model, self.parameters, self.temperature = model, tuple(parameters), temperature
        self.batches = [packed for packed in batches if len(packed.sample_N)]
        self.count = sum(len(packed.sample_N) for packed in self.batches)
        self._kept = self._slope(self.batches[0]) if len(self.batches) == 1 else None

    def __call__(self, v_P: Tensor) -> Tensor:
        """``F v``, ``(P,)``."""
        total_P = torch.zeros_like(v_P)
        for packed in self.batches:
            slope_P = self._slope(packed) if self._kept is None else self._kept
            parts = torch.autograd.grad(
                slope_P @ v_P,
                self.parameters,
                retain_graph=self._kept is not None,
                allow_unused=True,
                materialize_grads=True,
            )
            total_P += flat(parts)
        return total_P

    def _slope(self, packed: Packed) -> Tensor:
        """This micro-batch's share of the gradient of the KL, ``(P,)``: 0 in value, not in its derivative."""
        with torch.enable_grad():
            logps_DV = next_token_logps(self.model, packed, self.temperature)
            kl = summed_kl(logps_DV.detach(), logps_DV, packed) / self.count
            parts = torch.autograd.grad(
                kl, self.parameters, create_graph=True, allow_unused=True, materialize_grads=True
            )
            return flat(parts)


def flat(parts: Sequence[Tensor]) -> Tensor:
    """Tensors one after the other, ``(P,)``."""
    return torch.cat([part.reshape(-1) for part in parts])


@torch.no_grad()
def install(parameters: Sequence[Tensor], values_P: Tensor) -> None:
    """Copy flat values into the parameters, in place."""
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, values in zip(parameters, torch.split(values_P, sizes), strict=True):
        parameter.copy_(values.view_as(parameter))
