"""The good answers of preference data, for imitation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charter.catalogue.options import TrainOptions
from charter.data.formats import LoadedData
from charter.errors import DataError
from charter.types import Group, Judgement, PairTarget, SampleTarget

LEFT_OUT = "answers that another one was preferred to, left out"
NO_BEST = "rows without a best answer, left out"


def keep_best(loaded: LoadedData, options: TrainOptions) -> LoadedData:
    """Every answer that was preferred to some other, and no other to it, as a row of its own.

    It weighs as much as the pairs it won, on average.

    Raises:
        DataError: there is none.
    """
    groups: list[Group] = []
    left_out = without = 0
    for group in loaded.groups:
        best = _best(group.judgements)
        left_out += len(group.samples) - len(best)
        without += not best
        groups += [
            replace(
                group,
                samples=(group.samples[index],),
                judgements=(Judgement(SampleTarget(0), 1.0, weight=best[index]),),
                id=group.id if len(best) == 1 else f"{group.id}:{index}",
            )
            for index in best
        ]
    if not groups:
        raise DataError("no answer is preferred to all others of its row", where=loaded.name or None)
    counts = {**loaded.counts, LEFT_OUT: left_out, NO_BEST: without}
    return replace(loaded, groups=tuple(groups), kind="completion", counts=counts)


def _best(judgements: Sequence[Judgement]) -> dict[int, float]:
    """Weights of the samples that win at least one pair and lose none; an even pair says nothing."""
    winners: dict[int, list[float]] = {}
    losers = set()
    for said in judgements:
        target, probability = said.target, 1.0 if said.probability is None else said.probability
        if isinstance(target, PairTarget) and said.verdict == "judged" and probability != 0.5:
            won, lost = (target.better, target.worse) if probability > 0.5 else (target.worse, target.better)
            winners.setdefault(won, []).append(said.weight)
            losers.add(lost)
    return {index: sum(winners[index]) / len(winners[index]) for index in sorted(winners.keys() - losers)}
