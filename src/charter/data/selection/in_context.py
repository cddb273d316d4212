"""Scores of answers by what demonstrations change about them (ICDPO, 2402.09320)."""

from __future__ import annotations

from collections.abc import Sequence


def icdpo_scores(demo_logps: Sequence[float], plain_logps: Sequence[float]) -> list[float]:
    """``log p(y | demonstrations, x) - log p(y | x)`` of each candidate; the best one is the answer.

    The contrastive form takes log-probs under negative demonstrations in place of ``plain_logps``.

    Args:
        demo_logps: summed over the candidate's tokens, the end of the turn included; nats.
        plain_logps: of the same token ids.

    Raises:
        ValueError: lists of different lengths.
    """
    return [with_demos - without for with_demos, without in zip(demo_logps, plain_logps, strict=True)]
