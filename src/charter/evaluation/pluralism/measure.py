"""How far a model's answers are from each group's, with and without naming it; the worst first.

Few people's shares lie some way from those of everybody like them, so a small group would look badly served
by any model. That part is taken out of the squared distance before groups are ranked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.survey import Question, Survey
from charter.errors import DataError
from charter.evaluation.pluralism.asking import Spread, SurveyTaker
from charter.evaluation.pluralism.wording import STEER, Asked
from charter.evaluation.suite.distance import between, divergence_by_chance
from charter.stats import Interval
from charter.stats.bootstrap import bootstrap_mean

FEWEST = 5
"""Questions below which a bootstrap over questions gives no interval."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A mean over questions.

    Attributes:
        value: the mean; None = not measured.
        interval: of it, resampling questions; None where there are fewer than :data:`FEWEST`.
        questions: how many.
    """

    value: float | None
    interval: Interval | None
    questions: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        ends = None if self.interval is None else list(self.interval)
        return {"value": self.value, "interval": ends, "questions": self.questions}


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group of people.

    Attributes:
        group: its name.
        js: mean Jensen-Shannon distance of the model's shares from the group's, in [0, 1].
        wasserstein: mean 1-Wasserstein distance over ordered questions, as a share of the scale.
        steered: ``js`` where the prompt names the group; None = not asked.
        steered_wasserstein: the same of ``wasserstein``.
        change: ``steered`` less ``js``, question by question; below 0 = steering helps.
        by_chance: root mean square distance of as many people, drawn from the group's own shares, from those
            shares; None where the survey does not say how many answered.
        beyond: root of the mean of ``js`` squared less that of chance, question by question; below 0 = nearer
            than chance would have it.
        steered_beyond: the same of ``steered``.
        js_group_mean: distance of the mean of all groups, which knows nothing of this one.
        js_uniform: distance of equal shares.
        missing: questions without an answer of the model, in either.
    """

    group: str
    js: Measured
    wasserstein: Measured
    steered: Measured | None
    steered_wasserstein: Measured | None
    change: Measured | None
    by_chance: float | None
    beyond: Measured
    steered_beyond: Measured | None
    js_group_mean: float
    js_uniform: float
    missing: int

    @property
    def badness(self) -> float | None:
        """What groups are ranked by: the distance beyond chance, or as it is where chance is not known.

        Of the answers where the group is named, if it was; None = not measured.
        """
        plain, left = (self.js, self.beyond)
        if self.steered is not None:
            plain, left = self.steered, self.steered_beyond or Measured(None, None, 0)
        return plain.value if left.value is None else left.value

    def to_json(self) -> dict[str, Any]:
        """Plain data."""

        def of(one: Measured | None) -> dict[str, Any] | None:
            return None if one is None else one.to_json()

        return {
            "group": self.group,
            "js": self.js.to_json(),
            "wasserstein": self.wasserstein.to_json(),
            "steered": of(self.steered),
            "steered_wasserstein": of(self.steered_wasserstein),
            "change": of(self.change),
            "by_chance": self.by_chance,
            "beyond_chance": self.beyond.to_json(),
            "steered_beyond_chance": of(self.steered_beyond),
            "js_group_mean": self.js_group_mean,
            "js_uniform": self.js_uniform,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class Pluralism:
    """What was measured.

    Attributes:
        rows: one for each group, the worst first (see :attr:`GroupRow.badness`).
        order_gap: mean total variation between both orders of the options; None = not measured.
        unread: sampled replies that name no option.
        replies: sampled replies.
    """

    rows: tuple[GroupRow, ...]
    order_gap: float | None
    unread: int
    replies: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "groups": [row.to_json() for row in self.rows],
            "order_gap": self.order_gap,
            "unread": self.unread,
            "replies": self.replies,
        }


def asked_of(survey: Survey, steer: str | None) -> dict[str, list[Asked]]:
    """What is asked, by group; "" = without a group."""
    found = {"": [Asked(one) for one in survey.questions]}
    if steer is not None:
        for group in survey.groups:
            named = steer.format(group=group)
            found[group] = [Asked(one, named) for one in survey.asked(group)]
    return found


def measure_pluralism(taker: SurveyTaker, survey: Survey, steer: str | None = STEER) -> Pluralism:
    """Ask a model every question, without a group and as each group, and compare.

    Args:
        taker: asks the model.
        survey: what people answered.
        steer: names the group; None = the model is only asked without.

    Raises:
        DataError: the survey has no group.
        Interrupted: the person asked to stop; a taker with a journal goes on.
    """
    if not survey.groups:
        raise DataError("the survey has no group", where=survey.name or None)
    asked = asked_of(survey, steer)
    flat = [one for of in asked.values() for one in of]
    spreads = iter(taker(flat))
    found = {group: {one.question.text: next(spreads) for one in of} for group, of in asked.items()}
    return compared(survey, found)


def compared(survey: Survey, found: Mapping[str, Mapping[str, Spread]]) -> Pluralism:
    """Rows from what a model answered, by group ("" = without one) and question."""
    rows = [_row(survey, group, found[""], found.get(group)) for group in survey.groups]

    def worst(row: GroupRow) -> float:
        return -2.0 if row.badness is None else row.badness

    every = [spread for of in found.values() for spread in of.values()]
    gaps = [one.order_gap for one in every if one.order_gap is not None]
    return Pluralism(
        tuple(sorted(rows, key=worst, reverse=True)),
        sum(gaps) / len(gaps) if gaps else None,
        sum(one.unread for one in every),
        sum(one.replies for one in every),
    )


def _row(
    survey: Survey, group: str, plain: Mapping[str, Spread], steered: Mapping[str, Spread] | None
) -> GroupRow:
    asked, shares = survey.asked(group), survey.shares[group]
    js, wasserstein = _distances(asked, shares, plain)
    missing = sum(not plain[one.text].measured for one in asked)
    chance = _chance(survey, group)
    named = change = named_wasserstein = named_beyond = None
    if steered is not None:
        js_named, wasserstein_named = _distances(asked, shares, steered)
        named, named_wasserstein = mean_of(list(js_named.values())), mean_of(list(wasserstein_named.values()))
        change = mean_of([js_named[text] - js[text] for text in js_named if text in js])
        named_beyond = _beyond(js_named, chance)
        missing += sum(not steered[one.text].measured for one in asked)
    means = [survey.mean_shares(one) for one in asked]
    return GroupRow(
        group,
        mean_of(list(js.values())),
        mean_of(list(wasserstein.values())),
        named,
        named_wasserstein,
        change,
        _root(_mean(list(chance.values()))) if chance else None,
        _beyond(js, chance),
        named_beyond,
        _mean([between(mean, shares[one.text]).js for one, mean in zip(asked, means, strict=True) if mean]),
        _mean([between([1.0] * len(one.options), shares[one.text]).js for one in asked]),
        missing,
    )


def _distances(
    asked: Sequence[Question], shares: Mapping[str, Sequence[float]], found: Mapping[str, Spread]
) -> tuple[dict[str, float], dict[str, float]]:
    """Both distances, by question; 1-Wasserstein only of ordered ones."""
    js: dict[str, float] = {}
    wasserstein: dict[str, float] = {}
    for one in asked:
        spread = found[one.text]
        if spread.measured:
            distance = between(spread.shares, shares[one.text])
            js[one.text] = distance.js
            if one.ordered:
                wasserstein[one.text] = distance.wasserstein
    return js, wasserstein


def _chance(survey: Survey, group: str) -> dict[str, float]:
    """By question that says how many answered: the divergence that so many show by chance.

    Half a person is added to each option: what nobody of a few chose is not what nobody would.
    """
    counts = survey.respondents.get(group, {})
    return {
        text: divergence_by_chance([share * counts[text] + 0.5 for share in shares], round(counts[text]))
        for text, shares in survey.shares[group].items()
        if round(counts.get(text, 0.0)) > 0
    }


def _beyond(js: Mapping[str, float], chance: Mapping[str, float]) -> Measured:
    """What is left of the distance, over questions of which chance is known."""
    found = mean_of([js[text] ** 2 - chance[text] for text in js if text in chance])
    ends = None if found.interval is None else Interval(*(_root(end) for end in found.interval))
    return Measured(None if found.value is None else _root(found.value), ends, found.questions)


def _root(value: float) -> float:
    """The square root with the sign of ``value``, so that less than chance shows as that."""
    return math.copysign(math.sqrt(abs(value)), value)


def mean_of(values: Sequence[float]) -> Measured:
    """Mean over questions with a bootstrap interval (BCa, 95%)."""
    return mean_of_clusters([[one] for one in values])


def mean_of_clusters(clusters: Sequence[Sequence[float]]) -> Measured:
    """Mean over questions of the mean of what each holds; the interval draws questions (BCa, 95%)."""
    if not clusters:
        return Measured(None, None, 0)
    interval = bootstrap_mean(clusters) if len(clusters) >= FEWEST else None
    return Measured(_mean([_mean(one) for one in clusters]), interval, len(clusters))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
