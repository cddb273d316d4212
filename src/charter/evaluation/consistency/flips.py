"""How often a judge changes its preference when two answers change places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from charter.evaluation.consistency.items import short_names, turns_of
from charter.rundir import sha256_json
from charter.stats import Interval, wilson
from charter.types import Group, Judgement, PairTarget

_DISAGREE = "the two orders disagree"
"""How a pairwise judge that is asked in both orders says that they disagree."""

_TIE = "tie"


@dataclass(frozen=True)
class OrderFlips:
    """Of one judge.

    Attributes:
        judge: its name.
        principle: id; "" = all together.
        pairs: pairs read in both orders.
        flips: those on which the orders disagree.
        rate: their share.
        interval: Wilson's.
    """

    judge: str
    principle: str
    pairs: int
    flips: int
    rate: float
    interval: Interval


def order_flips(
    groups: Iterable[Group], *, both_orders: bool = False, level: float = 0.95
) -> tuple[OrderFlips, ...]:
    """Flip rates, of each judge over all principles and then by principle.

    A pair counts where the same two answers were judged in two groups in both orders, or by a judge that was
    asked in both orders at once: it abstains where they disagree, and its single word stands for both where
    they agree. That a judge was asked so shows in its first disagreement; before one nothing is counted,
    unless ``both_orders`` says it.

    Args:
        groups: with judgements of pairs; the answer that comes first in the group was shown first.
        both_orders: every pair was asked in both orders.
        level: of intervals.
    """
    listed = list(groups)
    names = short_names(one.judge for group in listed for one in group.judgements)
    seen: dict[tuple[str, str, str], dict[bool, str]] = {}
    flipped: dict[tuple[str, str, str], bool] = {}
    for group in listed:
        for one in group.judgements:
            if not isinstance(one.target, PairTarget):
                continue
            key, turned = _key(group, one, names[one.judge])
            side = _preferred(group, one)
            if one.verdict == "abstained" and one.reason.startswith(_DISAGREE):
                flipped[key] = True
            elif side is not None:
                seen.setdefault(key, {})[turned] = side
    at_once = {judge for judge, _, _ in flipped}
    for key, sides in seen.items():
        if len(sides) == 2:
            flipped[key] = flipped.get(key, False) or len(set(sides.values())) > 1
        elif both_orders or key[0] in at_once:
            flipped.setdefault(key, False)
    return _summed(flipped, level)


def _summed(flipped: Mapping[tuple[str, str, str], bool], level: float) -> tuple[OrderFlips, ...]:
    found = []
    for judge in dict.fromkeys(judge for judge, _, _ in flipped):
        principles = dict.fromkeys(p for j, p, _ in flipped if j == judge)
        for principle in ("", *principles):
            values = [f for (j, p, _), f in flipped.items() if j == judge and principle in ("", p)]
            n, k = len(values), sum(values)
            found.append(OrderFlips(judge, principle, n, k, k / n, wilson(k, n, level)))
    return tuple(found)


def _key(group: Group, one: Judgement, judge: str) -> tuple[tuple[str, str, str], bool]:
    """Judge, principle and pair, and whether it was shown in the order that counts as turned."""
    assert isinstance(one.target, PairTarget)
    first, second = sorted((one.target.better, one.target.worse))
    shown = [group.samples[i].completion.text for i in (first, second)]
    pair = sha256_json([turns_of(group.samples[first].context.content), sorted(shown)])
    return (judge, one.principle, pair), shown != sorted(shown)


def _preferred(group: Group, one: Judgement) -> str | None:
    """The answer that is better; a tie; None = the judge did not say."""
    assert isinstance(one.target, PairTarget)
    if one.value is None:
        return _TIE if one.verdict == "abstained" and one.reason.startswith(_TIE) else None
    if one.value == 0.0:
        return _TIE
    better = one.target.better if one.value > 0 else one.target.worse
    return sha256_json(group.samples[better].completion.text)
