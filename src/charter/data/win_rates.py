"""Scores that a loss reads as win rates."""

from __future__ import annotations

from dataclasses import replace

from charter.catalogue.options import TrainOptions
from charter.data.formats import LoadedData
from charter.errors import DataError
from charter.types import Group, PairTarget, SampleTarget

OTHERS = "scores on other objectives than the pairs', which are no win rates of theirs"


def check_win_rates(loaded: LoadedData, options: TrainOptions) -> LoadedData:
    """The data, once the scores of answers are seen to be win rates where the loss is SPPO.

    A score is one of the objective that the pairs were judged on, as in rated rows. Scores on other
    objectives say nothing about who wins: they are left out and counted.

    Raises:
        DataError: a score is not between 0 and 1.
    """
    types = getattr(options, "loss_types", ("sppo",))
    if "sppo" not in types:
        return loaded
    kept = tuple(_own_scores(group) for group in loaded.groups)
    for group in kept:
        for said in group.judgements:
            if isinstance(said.target, SampleTarget) and said.value is not None and not 0 <= said.value <= 1:
                raise DataError(
                    f"score {said.value:g} is not a win rate",
                    where=group.source,
                    fix="scores between 0 and 1, or pairs with a probability column",
                )
    lost = sum(len(a.judgements) - len(b.judgements) for a, b in zip(loaded.groups, kept, strict=True))
    if not lost:
        return loaded
    return replace(loaded, groups=kept, counts={**loaded.counts, OTHERS: lost})


def _own_scores(group: Group) -> Group:
    """The group with scores only where they are of the one objective its pairs were judged on."""
    own = {said.principle for said in group.judgements if isinstance(said.target, PairTarget)}
    said = tuple(
        said
        for said in group.judgements
        if not isinstance(said.target, SampleTarget) or own == {said.principle}
    )
    return group if len(said) == len(group.judgements) else replace(group, judgements=said)
