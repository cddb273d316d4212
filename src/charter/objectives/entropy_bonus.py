"""A reward for keeping choices open: the entropy of the next-token distributions.

Shapes: N scored tokens.
"""

from __future__ import annotations

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.policy_metrics import PolicyMetrics
from charter.objectives.rollout_part import layout_of, scored_of


class EntropyBonus:
    """``-H``: minus the entropy over the whole vocabulary at the scored tokens, mean over tokens, nats.

    The entropy term of PPO's objective (Schulman et al. 2017, 1707.06347, equation 9); its coefficient
    is the weight of the term. Differentiated through the distribution, which is not the gradient of the
    entropy of whole answers: what was sampled is taken as given.

    Args:
        part: part of the data that holds the rollouts.
    """

    name = "entropy_bonus"
    needs = frozenset({Need.ENTROPY_GRADIENT})

    def __init__(self, part: str = "") -> None:
        self.part = part

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per token."""
        return {self.name: float(len(layout_of(layout, self.part).sample_N))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over tokens."""
        entropy_N = scored_of(scored, self.part).need("entropy_N")
        metrics = PolicyMetrics()
        metrics.mean("entropy", entropy_N)
        return {self.name: metrics.term(-entropy_N, float(len(entropy_N)))}
