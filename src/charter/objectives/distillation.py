"""Distillation: how far a policy's next-token distributions are from a teacher's.

The one plain statement of the divergences. Training computes the same numbers in
chunks, with gradients written out (:mod:`charter.models.distil`).

A prompt can also be distilled as text, without a teacher's distributions (Llama 2, 2307.09288,
section 4.2.4): sample under the prompt (``charter sample``, or a recipe's ``sample`` stage with
``guided``), leave the prompt out, and train on the answers with ``sft``.

Shapes: N positions, V vocabulary, K most probable tokens of the teacher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit

DivergenceKind = Literal["forward_kl", "reverse_kl", "jsd"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """A divergence from the teacher ``T`` to the student ``S``, in nats per position.

    ``forward_kl``: ``KL(T || S)``, context distillation as published (Askell et al. 2021,
    2112.00861, section 2). ``reverse_kl``: ``KL(S || T)``. ``jsd``: the generalised
    Jensen-Shannon divergence ``beta KL(T || M) + (1 - beta) KL(S || M)`` with
    ``M = beta T + (1 - beta) S`` (Agarwal et al. 2023, 2306.13649, equation 1); divided by
    ``beta`` (``1 - beta``) it tends to the forward (reverse) KL as ``beta`` tends to 0 (1).

    Attributes:
        kind: see above.
        beta: of ``jsd``.
        temperature: both models' logits are divided by it; the result is not multiplied by its square.
        top_k: the vocabulary is reduced to the K tokens the teacher finds most probable and one
            bucket for all others, so that both sides stay distributions; None = no reduction.
    """

    kind: DivergenceKind = "forward_kl"
    beta: float = 0.5
    temperature: float = 1.0
    top_k: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("forward_kl", "reverse_kl", "jsd"):
            raise ValueError(f"unknown divergence {self.kind!r}")
        if not 0 < self.beta < 1:
            raise ValueError(f"beta must lie between 0 and 1, not {self.beta!r}")
        if self.temperature <= 0 or (self.top_k is not None and self.top_k < 1):
            raise ValueError("temperature and top_k must be positive")

    def __call__(self, student_logits_NV: Tensor, teacher_logits_NV: Tensor) -> Tensor:
        """The divergence at each position, ``(N,)``; the teacher carries no gradient."""
        student_NV = (student_logits_NV / self.temperature).log_softmax(-1)
        teacher_NV = (teacher_logits_NV.detach() / self.temperature).log_softmax(-1)
        if self.top_k is not None and self.top_k < teacher_NV.shape[-1]:
            index_NK = teacher_NV.topk(self.top_k, -1).indices
            student_NV, teacher_NV = bucketed(student_NV, index_NK), bucketed(teacher_NV, index_NK)
        if self.kind == "forward_kl":
            return kl(teacher_NV, student_NV)
        if self.kind == "reverse_kl":
            return kl(student_NV, teacher_NV)
        mixed_NV = mixture(student_NV, teacher_NV, self.beta)
        return self.beta * kl(teacher_NV, mixed_NV) + (1 - self.beta) * kl(student_NV, mixed_NV)


def kl(logp_NV: Tensor, logq_NV: Tensor) -> Tensor:
    """``KL(p || q)`` of log-probabilities, ``(N,)``."""
    return (logp_NV.exp() * (logp_NV - logq_NV)).sum(-1)


def mixture(student_NV: Tensor, teacher_NV: Tensor, beta: float) -> Tensor:
    """Log-probabilities of ``beta T + (1 - beta) S``."""
    return torch.logaddexp(teacher_NV + math.log(beta), student_NV + math.log1p(-beta))


def bucketed(logps_NV: Tensor, index_NK: Tensor) -> Tensor:
    """Log-probabilities of the tokens ``index_NK``, then of all others together, ``(N, K + 1)``."""
    rest_NV = logps_NV.scatter(-1, index_NK, -math.inf)
    return torch.cat([logps_NV.gather(-1, index_NK), rest_NV.logsumexp(-1, keepdim=True)], -1)


class Distillation:
    """Token mean of the divergence between teacher and policy.

    Which divergence, and whose distributions, the teacher of the run decides
    (:mod:`charter.training.teacher`); both are scored on the same completions.
    """

    needs = frozenset({Need.TEACHER})

    def stated_by(self) -> tuple[type, ...]:
        """For the documentation: the divergence."""
        return (Divergence,)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per scored token."""
        return {"divergence": layout.count(Unit.TOKEN)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of the divergences."""
        divergence_N = scored.need("divergence_N")
        return {"divergence": Term(divergence_N.sum(), scored.layout.count(Unit.TOKEN))}
