"""MACE beside Dawid-Skene: do both say the same of raters and answers?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.feedback.people.consensus import Consensus, classes_said, shared_enough
from charter.label import Label
from charter.stats.raters.mace import mace


def second_opinion(labels: Sequence[Label], kind: str, first: Consensus, *, seed: int = 0) -> dict[str, Any]:
    """How likely each rater is to know rather than guess, and how often both models name the same answer.

    MACE is told no gold, so it needs raters who share items, as Dawid-Skene does without gold.

    Args:
        labels: last words.
        kind: ``pair`` or ``rating``.
        first: what Dawid-Skene says.
        seed: of MACE's restarts.

    Raises:
        EnvironmentFault: crowd-kit is not installed.
    """
    ratings, _, left_out = classes_said(labels, kind)
    why = shared_enough(ratings)
    if not why and len({rating.value for rating in ratings}) < 2:
        why = "all labels are equal"
    if why:
        return {"why": why, "competence": {}, "same_answer": None, "items": 0, "left_out": left_out}
    found = mace(ratings, seed=seed)
    same = _same(found.answers, first)
    return {
        "why": "",
        "competence": {str(rater): value for rater, value in found.competence.items()},
        "same_answer": sum(same) / len(same) if same else None,
        "items": len(same),
        "left_out": left_out,
    }


def _same(answers: dict[Any, float], first: Consensus) -> list[bool]:
    """By item: whether Dawid-Skene's most probable answer is MACE's."""
    fit = first.fit
    if fit is None:
        return []
    best_N = fit.posterior_NK.argmax(1)
    return [answers[item] == fit.classes[int(k)] for item, k in zip(fit.items, best_N, strict=True)]
