"""What feeds a run's optimizer steps: a dataset and its reference, or rollouts with all they need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from charter.catalogue.options import TrainOptions
from charter.models.policy import Policy
from charter.objectives.base import Need
from charter.training.references import ReferenceLogps, ReferencePlan, reference_of
from charter.training.source import DatasetSource, Source
from charter.training.step import Stepper
from charter.types import Group


@dataclass(frozen=True)
class Feed:
    """What the loop is given beside the policy.

    Attributes:
        source: of the groups of each step.
        reference: what follows the policy, or is saved with it.
        scored_under: where the loss finds log-probs of the reference.
        beside: groups of other data that steps are trained on too.
        critic: trained beside the policy.
        critic_scale: its learning rate, as a multiple of the policy's.
        temperature: logits are divided by it in the trainer's forward.
        restarts: rounds start from the first weights.
        stepper: takes optimizer steps.
    """

    source: Source
    reference: ReferenceLogps | None = None
    scored_under: ReferenceLogps | None = None
    beside: Sequence[Group] = ()
    critic: Policy | None = None
    critic_scale: float = 1.0
    temperature: float = 1.0
    restarts: bool = False
    stepper: Callable[..., Stepper] = Stepper


class MakeOnline(Protocol):
    """Makes the feed of an online run in two steps: weights are shared before the policy gets its adapter."""

    def critic(self, policy: Policy) -> Policy | None:
        """The critic, where one is trained; called before the policy is made trainable."""
        ...

    def __call__(
        self, policy: Policy, critic: Policy | None, directory: Path, needs: frozenset[Need]
    ) -> Feed:
        """Called once the policy is trainable."""
        ...


def dataset_feed(
    policy: Policy,
    options: TrainOptions,
    groups: Sequence[Group],
    needs: Collection[Need],
    plan: ReferencePlan | None,
    directory: Path,
    identity: str,
) -> Feed:
    """A dataset, and the reference its terms are held against.

    Args:
        policy: made trainable.
        options: of the run.
        groups: rendered.
        needs: of the terms.
        plan: which reference; None = the frozen policy.
        directory: of the run.
        identity: of the policy and the data.
    """
    source = DatasetSource(groups, options.batch_size, options.seed)
    if Need.REFERENCE not in needs:
        return Feed(source)
    reference = reference_of(plan or ReferencePlan(), policy, directory, identity)
    return Feed(source, reference, reference)
