"""Scores that a loss reads as win rates."""

from __future__ import annotations

from charter.catalogue.options import TrainOptions
from charter.data.formats import LoadedData
from charter.errors import DataError
from charter.types import SampleTarget


def check_win_rates(loaded: LoadedData, options: TrainOptions) -> LoadedData:
    """The data as it is, once the scores of answers are seen to be win rates where the loss is SPPO.

    Raises:
        DataError: a score is not between 0 and 1.
    """
    types = getattr(options, "loss_types", ("sppo",))
    if "sppo" not in types:
        return loaded
    for group in loaded.groups:
        for said in group.judgements:
            if isinstance(said.target, SampleTarget) and said.value is not None and not 0 <= said.value <= 1:
                raise DataError(
                    f"score {said.value:g} is not a win rate",
                    where=group.source,
                    fix="scores between 0 and 1, or pairs with a probability column",
                )
    return loaded
