"""Which principles a judge may be used for. One that fails its card for a principle is not used for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.criterion import Criterion
from charter.types import Group, Judgement

Use = Literal["calibrated", "uncalibrated", "undecided", "refused"]
"""``calibrated``: its rates may be published, corrected by its measured errors. ``uncalibrated``: it may be
used, but too few people labelled answers to correct its rates, and every row has to say so. ``undecided``:
too little to tell, and not used until there is more. ``refused``: it failed, and is not used."""

USABLE: frozenset[str] = frozenset({"calibrated", "uncalibrated"})
PROOF = ("pairs", "labels")
"""Criteria that show that a judge is right; at least one must be passed."""


def use_of(own: Sequence[Criterion], wide: Sequence[Criterion]) -> tuple[Use, str]:
    """What a judge may be used for, and why.

    Args:
        own: criteria of one principle.
        wide: criteria of the judge over all principles.
    """
    by_name = {one.name: one.result for one in own}
    failed = [one for one in (*own, *wide) if one.result == "fail"]
    if failed:
        return "refused", "; ".join(f"{one.name}: {one.why}" for one in failed)
    if not any(by_name.get(name) == "pass" for name in PROOF):
        reasons = [f"{one.name}: {one.why}" for one in own if one.name in PROOF]
        return "undecided", "; ".join(reasons)
    if by_name.get("labels") == "pass":
        return "calibrated", _open(
            own, wide, "right often enough, and its errors are known from human labels"
        )
    return "uncalibrated", _open(
        own, wide, "right on the examples, but too few human labels to correct its rates"
    )


class Gated:
    """A judge that is silent on the principles it may not be used for.

    Args:
        judge: any judge.
        usable: the principles it may be used for.
        why: of the others, by principle.
    """

    def __init__(self, judge: Judge, usable: Collection[str], why: dict[str, str] | None = None) -> None:
        self.inner = judge
        self.usable = frozenset(usable)
        self.why = why or {}

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """What the judge says; ``not_measured`` where it may not be used."""
        return [[self._allowed(one) for one in said] for said in self.inner.judge(groups)]

    def _allowed(self, one: Judgement) -> Judgement:
        if not one.principle or one.principle in self.usable:
            return one
        reason = self.why.get(one.principle, "the judge has no card for this principle")
        return replace(one, value=None, probability=None, verdict="not_measured", reason=reason)


def _open(own: Sequence[Criterion], wide: Sequence[Criterion], told: str) -> str:
    """``told``, and what could not be decided."""
    unclear = [one.name for one in (*own, *wide) if one.result == "undecided" and one.name not in PROOF]
    return f"{told}; undecided: {', '.join(unclear)}" if unclear else told
