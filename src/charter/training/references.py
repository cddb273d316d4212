"""What a policy is held against while it trains.

``frozen``: as it was before the first step, its log-probs scored once and kept
on disk. ``moving``: a copy that follows the policy (TR-DPO, EMA). ``behaviour``:
the policy that sampled the completions, whose log-probs the completions carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.models.reference import ReferenceCache
from charter.models.score import score
from charter.progress import progress
from charter.training.batch import MicroBatch
from charter.training.recorded import credit_of, sampler_logps
from charter.types import Group

ReferenceKind = Literal["frozen", "moving", "behaviour"]


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """Which reference, and how it moves; see :class:`Moving`."""

    kind: ReferenceKind = "frozen"
    alpha: float = 0.6
    every: int = 512


class ReferenceLogps(Protocol):
    """Log-probs under a reference policy."""

    def logps(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """Log-probs of the scored tokens of ``batch``, ``(N,)``, without gradient."""
        ...

    def after_step(self, policy: Policy, step: int) -> None:
        """The policy has taken ``step`` optimizer steps."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of it."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`state` returned."""
        ...


def reference_of(plan: ReferencePlan, policy: Policy, directory: Path, identity: str) -> ReferenceLogps:
    """The reference of a run, made before its first step.

    Args:
        plan: which.
        policy: what a moving reference starts as.
        directory: where a frozen one keeps its log-probs.
        identity: of the policy and the data; log-probs of another are not used.
    """
    if plan.kind == "behaviour":
        return Behaviour()
    if plan.kind == "moving":
        return Moving(policy, plan.alpha, plan.every)
    return Frozen(ReferenceCache(directory, identity))


class Frozen:
    """Cached log-probs of the policy as it was before the first step."""

    def __init__(self, cache: ReferenceCache) -> None:
        self.cache = cache

    def score(self, policy: Policy, groups: Sequence[Group], tokens: int) -> None:
        """Score the reference now, while ``policy`` still is it, ``tokens`` at a time."""
        with without_dropout(policy), progress("reference", len(groups)) as advance:
            self.cache.fill(policy, groups, tokens, advance)

    def logps(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """See :class:`ReferenceLogps`."""
        return torch.from_numpy(self.cache.logps(batch.samples))

    def after_step(self, policy: Policy, step: int) -> None:
        """It does not move."""

    def state(self) -> dict[str, Tensor]:
        """Nothing: the cache is a file."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing."""


class Behaviour:
    """The policy that sampled the completions."""

    def logps(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """See :class:`ReferenceLogps`; raises DataError where a completion carries none."""
        return sampler_logps(batch.samples)

    def after_step(self, policy: Policy, step: int) -> None:
        """It does not move."""

    def state(self) -> dict[str, Tensor]:
        """Nothing: the completions carry it."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing."""


class Live:
    """A frozen reference, computed when it is asked for: what rollouts are scored under."""

    def __init__(self, reference: Reference, temperature: float) -> None:
        self.reference, self.temperature = reference, temperature

    def logps(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """See :class:`ReferenceLogps`."""
        return self.reference.logps(policy, batch.packed, self.temperature)

    def after_step(self, policy: Policy, step: int) -> None:
        """It does not move."""

    def state(self) -> dict[str, Tensor]:
        """Nothing: it is the model the run started from."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing."""


class Recorded:
    """Log-probs that rollouts carry, taken when their round began."""

    def logps(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """See :class:`ReferenceLogps`; raises DataError where a completion carries none."""
        return credit_of(batch.samples, "ref_logps")

    def after_step(self, policy: Policy, step: int) -> None:
        """It does not move."""

    def state(self) -> dict[str, Tensor]:
        """Nothing: the rollouts carry it."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing."""


class Moving:
    """A copy of the trained weights that is mixed with the policy's every so many steps.

    ``ref <- alpha * policy + (1 - alpha) * ref`` (Gorbatovski et al. 2024, 2404.09656,
    equation 6). ``every=1`` with a small ``alpha`` is an exponential moving average.

    Args:
        policy: copied as it is now.
        alpha: share of the policy in the mixture.
        every: optimizer steps between mixtures.
        temperature: logits are divided by it.
    """

    def __init__(self, policy: Policy, alpha: float, every: int, temperature: float = 1.0) -> None:
        self.alpha, self.every, self.temperature = alpha, every, temperature
        self.weights = {name: p.detach().clone() for name, p in policy.trainable().items()}

    @torch.no_grad()
    def logps(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """See :class:`ReferenceLogps`."""
        with self.installed(policy), without_dropout(policy):
            out = score(
                policy.model,
                batch.packed,
                compute_dtype=policy.compute_dtype,
                temperature=self.temperature,
            )
        assert out.logps_N is not None
        return out.logps_N

    @torch.no_grad()
    def after_step(self, policy: Policy, step: int) -> None:
        """Mix where it is time to."""
        if step % self.every:
            return
        for name, parameter in policy.trainable().items():
            self.weights[name].lerp_(parameter.detach(), self.alpha)

    def state(self) -> dict[str, Tensor]:
        """Its weights."""
        return dict(self.weights)

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put its weights back."""
        for name, weight in self.weights.items():
            weight.copy_(state[name])

    @contextmanager
    def installed(self, policy: Policy) -> Iterator[None]:
        """The policy's model with these weights."""
        own = {name: p.data for name, p in policy.trainable().items()}
        for name, parameter in policy.trainable().items():
            parameter.data = self.weights[name]
        try:
            yield
        finally:
            for name, parameter in policy.trainable().items():
                parameter.data = own[name]


@contextmanager
def without_dropout(policy: Policy) -> Iterator[None]:
    """The policy's model as it is evaluated."""
    training = policy.model.training
    policy.model.eval()
    try:
        yield
    finally:
        policy.model.train(training)
