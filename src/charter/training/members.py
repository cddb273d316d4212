"""An ensemble of LoRA adapters trained side by side, whose average is the policy (BPO, 2406.12168).

The policy's one adapter holds the members as blocks of its rank: with ``B = [B_1 .. B_n]`` and
``A = [A_1; ..; A_n]``, scaled by ``lora_alpha / (n lora_r)``, its change of the weights is the mean of
the members' changes. That is what samples, what the reference is a copy of, and what is saved.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from charter.training.batch import MicroBatch
from charter.training.step import Stepper

_SECOND = ".lora_B."


class MembersStepper(Stepper):
    """Takes optimizer steps in which every member learns from the step's batches by itself.

    Args:
        stepper: see :class:`charter.training.step.Stepper`.
        members: how many share the adapter's rank.
    """

    def __init__(self, *stepper: Any, members: int) -> None:
        super().__init__(*stepper)
        self.members = members

    def _accumulate(self, batches: Sequence[MicroBatch]) -> dict[str, float]:
        """Each member's gradient in its block; metrics are means over the members."""
        if not self._learning:  # the average is what is evaluated
            return super()._accumulate(batches)
        second = [p for name, p in self.policy.trainable().items() if _SECOND in name]
        gradients = [torch.zeros_like(parameter) for parameter in second]
        found = []
        for member in range(self.members):
            with self._alone(member, second):
                found.append(super()._accumulate(batches))
            for parameter, gradient in zip(second, gradients, strict=True):
                own = self._block(parameter, member)
                if parameter.grad is not None:
                    gradient[:, own] = parameter.grad[:, own] * self.members
                    parameter.grad = None
        for parameter, gradient in zip(second, gradients, strict=True):
            parameter.grad = gradient
        return {name: statistics.fmean(one[name] for one in found) for name in found[0]}

    @contextmanager
    def _alone(self, member: int, second: Sequence[Tensor]) -> Iterator[None]:
        """The policy as this member alone makes it: its block at its own scale, the others nothing.

        Where the others' second factor is 0 their first gets no gradient; what their second gets
        is left out by the caller.
        """
        whole = [parameter.data for parameter in second]
        for parameter in second:
            own = self._block(parameter, member)
            alone = torch.zeros_like(parameter)
            alone[:, own] = parameter.data[:, own] * self.members
            parameter.data = alone
        try:
            yield
        finally:
            for parameter, data in zip(second, whole, strict=True):
                parameter.data = data

    def _block(self, parameter: Tensor, member: int) -> slice:
        rank = parameter.shape[1] // self.members
        return slice(member * rank, (member + 1) * rank)


def members_stepper(options: Any) -> Callable[..., Stepper]:
    """Makes the steppers of runs with ``options.lora_members``."""
    if options.lora_members == 1:
        return Stepper
    return lambda *stepper: MembersStepper(*stepper, members=options.lora_members)
