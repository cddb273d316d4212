"""The good answers of preference data."""

from __future__ import annotations

from typing import Any

import pytest

from charter.catalogue import TrainOptions
from charter.data.formats import LoadedData, load_groups
from charter.data.good_answers import LEFT_OUT, NO_BEST, keep_best
from charter.errors import DataError


def kept(*rows: dict[str, Any]) -> LoadedData:
    return keep_best(load_groups(list(rows), "preference"), TrainOptions())


def answers(loaded: LoadedData) -> list[Any]:
    assert all(len(group.samples) == len(group.judgements) == 1 for group in loaded.groups)
    return [group.samples[0].completion.content for group in loaded.groups]


def test_the_better_answer_of_a_pair_stays() -> None:
    loaded = kept({"prompt": "q", "chosen": "yes", "rejected": "no"})
    assert answers(loaded) == ["yes"]
    assert loaded.counts[LEFT_OUT] == 1
    assert loaded.kind == "completion"


def test_of_a_ranking_only_those_nothing_was_preferred_to() -> None:
    loaded = kept({"prompt": "q", "responses": ["a", "b", "c", "d"], "ranks": [2, 1, 1, 3]})
    assert answers(loaded) == ["b", "c"]
    assert len({group.id for group in loaded.groups}) == 2
    assert loaded.counts[LEFT_OUT] == 2


def test_a_soft_pair_counts_the_way_it_leans_and_an_even_one_not() -> None:
    def row(probability: float) -> dict[str, Any]:
        return {"prompt": "q", "chosen": "yes", "rejected": "no", "probability": probability}

    loaded = kept(row(0.9), row(0.2), row(0.5))
    assert answers(loaded) == ["yes", "no"]
    assert loaded.counts[NO_BEST] == 1


def test_no_best_answer_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="no answer is preferred"):
        kept({"prompt": "q", "chosen": "yes", "rejected": "no", "probability": 0.5})
