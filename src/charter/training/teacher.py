"""Whose next-token distribution a policy is distilled from.

``Snapshot``: the policy as it was before the first step. ``Ema``: a moving average of it.
Either is given contexts of its own (a prompt that the policy must do without) and scored on
the policy's completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from charter.catalogue.distillation import DistillationOptions
from charter.data.packing import Ints, Packed
from charter.errors import DataError
from charter.models.distil import NextToken, divergence, next_token
from charter.models.pairing import Reference
from charter.models.policy import Policy, adapter_off
from charter.objectives.distillation import Divergence
from charter.training.batch import MicroBatch
from charter.training.references import Moving, without_dropout


class Teacher(Protocol):
    """A model whose distributions are the target, given its own context."""

    def divergence(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """Divergence between teacher and policy at each scored token, ``(N,)``; carries gradient.

        ``batch.sides["teacher"]`` holds the same completions under the teacher's contexts.
        """
        ...

    def after_step(self, policy: Policy, step: int) -> None:
        """The policy has taken ``step`` optimizer steps."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of it."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` returned."""
        ...


def teacher_of(policy: Policy, options: DistillationOptions) -> Teacher:
    """The teacher the options ask for; ``policy`` is as it was loaded, before training prepares it."""
    how = Divergence(options.divergence, options.beta, options.temperature, options.distillation_topk)
    if options.teacher_model_kind == "ema":
        return Ema(how, options.teacher_update_rate, options.teacher_sync_steps)
    if options.use_peft:
        return Snapshot(how, Reference(None))
    compute_dtype = torch.bfloat16 if options.bf16 else torch.float32
    return Snapshot(how, Reference.frozen_copy(replace(policy, compute_dtype=compute_dtype)))


class Snapshot:
    """The policy as it was before the first step.

    Args:
        how: the divergence.
        reference: a frozen copy, or the policy with its adapter off.
    """

    def __init__(self, how: Divergence, reference: Reference) -> None:
        self.how, self.reference = how, reference

    def divergence(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """See :class:`Teacher`."""
        packed = batch.sides["teacher"].packed
        with torch.no_grad():
            if self.reference.model is not None:
                teacher = next_token(self.reference.model, packed, policy.compute_dtype).detached()
            else:
                with adapter_off(policy.model) as model:
                    teacher = next_token(model, packed, policy.compute_dtype).detached()
        return _compare(policy, batch, teacher, self.how)

    def after_step(self, policy: Policy, step: int) -> None:
        """It does not move."""

    def state(self) -> dict[str, Tensor]:
        """Nothing: it is the model the run starts from."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Nothing."""


class Ema:
    """An exponential moving average of the policy's weights, which begins as the policy.

    Args:
        how: the divergence.
        rate: share of the policy in each update.
        every: optimizer steps between updates.
    """

    def __init__(self, how: Divergence, rate: float, every: int) -> None:
        self.how, self.rate, self.every = how, rate, every
        self._stored: Mapping[str, Tensor] = {}
        self._average: Moving | None = None

    def divergence(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """See :class:`Teacher`."""
        packed = batch.sides["teacher"].packed
        average = self._of(policy)
        with torch.no_grad(), average.installed(policy), without_dropout(policy):
            teacher = next_token(policy.model, packed, policy.compute_dtype).detached()
        return _compare(policy, batch, teacher, self.how)

    def after_step(self, policy: Policy, step: int) -> None:
        """See :class:`Teacher`."""
        self._of(policy).after_step(policy, step)

    def state(self) -> dict[str, Tensor]:
        """The averaged weights."""
        return {} if self._average is None else self._average.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back the averaged weights, when they are next needed."""
        self._stored, self._average = state, None

    def _of(self, policy: Policy) -> Moving:
        """The average; first asked for before the first step, when it is the policy itself."""
        if self._average is None:
            self._average = Moving(policy, self.rate, self.every)
            if self._stored:
                self._average.load_state(dict(self._stored))
        return self._average


def _compare(policy: Policy, batch: MicroBatch, teacher: NextToken, how: Divergence) -> Tensor:
    student = next_token(policy.model, batch.packed, policy.compute_dtype)
    student_K, teacher_K, row_N = _pairs(batch.packed, batch.sides["teacher"].packed, student.rows_U.device)
    return divergence(student, teacher, student_K, teacher_K, how)[row_N]


def _pairs(ours: Packed, theirs: Packed, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of both sides to compare, each pair once, and which of them each scored token takes.

    Raises:
        DataError: the two sides are not scored on the same tokens.
    """
    if not np.array_equal(ours.sample_N, theirs.sample_N) or not np.array_equal(
        ours.label_U[ours.unique_N], theirs.label_U[theirs.unique_N]
    ):
        raise DataError("the teacher's completions are not the policy's")
    key_N = ours.unique_N * max(len(theirs.label_U), 1) + theirs.unique_N
    _, first_K, row_N = np.unique(key_N, return_index=True, return_inverse=True)

    def on_device(values: Ints) -> Tensor:
        return torch.from_numpy(values).to(device)

    rows = on_device(ours.unique_N[first_K]), on_device(theirs.unique_N[first_K])
    return *rows, on_device(row_N.astype(np.int64))
