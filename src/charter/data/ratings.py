"""Answers rated one by one, with one rating each."""

from __future__ import annotations

from dataclasses import replace

from charter.catalogue.options import TrainOptions
from charter.data.formats import LoadedData
from charter.errors import DataError
from charter.types import Group, Judgement, SampleTarget

SEVERAL = "answers rated under several principles: the weighted mean of what they say"
UNRATED = "dropped: fewer than two answers are rated"


def one_rating_each(loaded: LoadedData, options: TrainOptions) -> LoadedData:
    """The groups with two or more rated answers, each answer with one rating; what was changed is counted.

    An answer judged under several principles is rated by the mean of its values, weighted by the
    judgements' weights, as :func:`charter.feedback.pairs.compare.compare` scores it.

    Raises:
        DataError: nothing is left.
    """
    groups: list[Group] = []
    several = 0
    for group in loaded.groups:
        ratings = _ratings(group)
        if len(ratings) > 1:
            several += sum(len(said) > 1 for said in ratings.values())
            groups.append(_with_one(group, ratings))
    if not groups:
        raise DataError(
            "no prompt has two rated answers",
            where=loaded.name or None,
            fix="give each row responses and scores",
        )
    counts = {**loaded.counts, UNRATED: len(loaded.groups) - len(groups), SEVERAL: several}
    return replace(loaded, groups=tuple(groups), counts=counts)


def _ratings(group: Group) -> dict[int, list[Judgement]]:
    """What was said about each sample, as far as it counts."""
    found: dict[int, list[Judgement]] = {}
    for said in group.judgements:
        if isinstance(said.target, SampleTarget) and said.value is not None and said.weight > 0:
            found.setdefault(said.target.sample, []).append(said)
    return found


def _with_one(group: Group, ratings: dict[int, list[Judgement]]) -> Group:
    """The group without any other judgement of a sample than its mean rating."""
    if all(len(said) == 1 for said in ratings.values()):
        return group
    return replace(group, judgements=tuple(_mean(said) for said in ratings.values()))


def _mean(said: list[Judgement]) -> Judgement:
    total = sum(one.weight for one in said)
    value = sum(one.weight * one.value for one in said if one.value is not None) / total
    return Judgement(said[0].target, value, judge=said[0].judge, weight=total / len(said))
