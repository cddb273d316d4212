"""Judgements of several principles are one rating, and scores are not taken for what they are not."""

from __future__ import annotations

from typing import Any

import pytest

from charter.catalogue import ENTRIES
from charter.data.formats import LoadedData, load_groups
from charter.data.labels import SOFT, one_label_each
from charter.data.margins import for_rewards
from charter.data.ratings import SEVERAL, UNRATED, one_rating_each
from charter.data.win_rates import OTHERS, check_win_rates
from charter.errors import DataError
from charter.pipeline.recipe import train_options
from charter.training.terms import by_name
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget


def judged(*values: tuple[int, str, float | None, float]) -> Group:
    """Two answers, and (sample, principle, value, weight) said about them."""
    said = tuple(
        Judgement(SampleTarget(i), value, principle=name, weight=weight)
        if value is not None
        else Judgement(SampleTarget(i), principle=name, verdict="abstained")
        for i, name, value, weight in values
    )
    return Group((Sample(Context("q"), Completion("a")), Sample(Context("q"), Completion("b"))), said)


def rated(*groups: Group) -> LoadedData:
    return one_rating_each(LoadedData(groups, {}, "rated"), train_options("infonca", {}, "test"))


def values(group: Group) -> list[float | None]:
    return [said.value for said in group.judgements]


def test_several_principles_are_a_weighted_mean_not_the_last_of_them() -> None:
    kind = ((0, "kind", 1.0, 3.0), (1, "kind", 0.0, 3.0))
    brief = ((0, "brief", 0.0, 1.0), (1, "brief", 1.0, 1.0))
    both = judged(*kind, *brief)
    loaded = rated(both)
    assert values(loaded.groups[0]) == [0.75, 0.25]
    assert [said.target for said in loaded.groups[0].judgements] == [SampleTarget(0), SampleTarget(1)]
    assert loaded.counts[SEVERAL] == 2


def test_one_rating_stays_and_what_abstains_says_nothing() -> None:
    plain = judged((0, "", 4.0, 1.0), (1, "", 2.0, 1.0))
    lone = judged((0, "", 4.0, 1.0), (1, "", None, 1.0))
    loaded = rated(plain, lone)
    assert loaded.groups == (plain,)
    assert loaded.counts[UNRATED] == 1
    with pytest.raises(DataError, match="two rated answers"):
        rated(lone)


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.data == "rated"])
def test_every_algorithm_on_ratings_reads_them_so(name: str) -> None:
    assert by_name(ENTRIES[name].rows) is one_rating_each


PAIR: dict[str, Any] = {"prompt": "q", "chosen": "a", "rejected": "b"}
SCORES = {"chosen_scores": {"harmless": 0.2}, "rejected_scores": {"harmless": 0.3}}


def test_scores_on_another_objective_are_no_margin() -> None:
    loaded = load_groups([{**PAIR, **SCORES}], "preference")
    with pytest.raises(DataError, match="a pair without a margin"):
        for_rewards(loaded, train_options("reward", {"use_margin": True}, "test"))


def test_scores_on_another_objective_are_no_win_rates() -> None:
    loaded = load_groups([{**PAIR, **SCORES, "probability": 0.8}], "preference")
    found = check_win_rates(loaded, train_options("sppo", {}, "test"))
    assert len(found.groups[0].judgements) == 1
    assert found.counts[OTHERS] == 2


def test_a_ranking_takes_no_probability() -> None:
    loaded = load_groups([{**PAIR, "probability": 0.7}], "preference")
    entry = ENTRIES["reward-plackett-luce"]
    with pytest.raises(DataError, match="a ranking takes no probability"):
        by_name(entry.rows)(loaded, train_options(entry.name, {}, "test"))


@pytest.mark.parametrize(
    ("label", "probability", "wanted"),
    [
        (True, None, [(1.0, 2.0)]),
        (True, 1.0, [(1.0, 2.0)]),
        (False, 0.0, [(1.0, 2.0)]),
        (True, 0.75, [(1.0, 1.5), (0.0, 0.5)]),
        (False, 0.75, [(0.0, 1.5), (1.0, 0.5)]),
    ],
)
def test_a_probable_label_counts_both_ways(
    label: bool, probability: float | None, wanted: list[tuple[float, float]]
) -> None:
    row = {"prompt": "q", "completion": "a", "label": label, "weight": 2.0, "probability": probability}
    found = one_label_each(load_groups([row], "unpaired"), train_options("bco", {}, "test"))
    (group,) = found.groups
    assert [(said.value, said.weight) for said in group.judgements] == wanted
    assert [said.target for said in group.judgements] == [SampleTarget(i) for i in range(len(wanted))]
    assert found.counts[SOFT] == len(wanted) - 1


@pytest.mark.parametrize("name", ["kto", "bco", "apo-zero-unpaired", "aot-unpaired"])
def test_labels_of_several_principles_are_one(name: str) -> None:
    assert by_name(ENTRIES[name].rows) is one_label_each
