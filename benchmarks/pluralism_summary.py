"""Numbers of the pluralism page: means over questions with intervals, and differences on the same questions.

Questions are drawn for the intervals, each with what it holds of all groups, draws and runs: answers to one
question are alike. Groups are not drawn: four of them say nothing of other groups.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pluralism_budget import Budget
from pluralism_data import estimated, everyone, group_mean, people, split_of_questions, votes_of
from pluralism_many import HELD, SEEN, skew_of

from charter.evaluation.pluralism.measure import Measured, mean_of_clusters
from charter.evaluation.suite.distance import between
from charter.testing.survey import PEOPLE, true_shares

Found = Mapping[str, Mapping[str, Any]]
"""Results by name of cell."""

Unit = tuple[str, str, int]
"""Group, question's text, draw of known answers."""

Units = Mapping[Unit, float]
"""Distances; those of several seeds are averaged."""

SMALL = tuple(one.name for one in sorted(PEOPLE, key=lambda one: one.size)[:4])
"""The four smallest groups."""


# -- new groups --------------------------------------------------------------------------------------


def few_units(found: Found) -> dict[tuple[str, str, int], dict[Unit, float]]:
    """Distances by predictor, variant ("" = of none) and number of known answers."""
    values: dict[tuple[str, str, int], dict[Unit, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in found.values():
        for row in result.get("rows", ()):
            key = (row["predictor"], row.get("variant", ""), row["known"])
            for text, value in row["js"].items():
                values[key][row["group"], text, row["draw"]].append(value)
    made = {key: {unit: statistics.fmean(of) for unit, of in units.items()} for key, units in values.items()}
    untrained = made.get(("in-context", "", 0))
    return {**made, ("fine-tuned", "", 0): untrained} if untrained else made


def mean_of_units(units: Units) -> Measured:
    """Over questions, each with its groups, each group with its draws."""
    return _by_question((text, group, value) for (group, text, _), value in units.items())


def worst_group(units: Units) -> tuple[str, Measured] | None:
    """The group with the largest mean; None where nothing was measured."""
    groups = dict.fromkeys(group for group, _, _ in units)
    found = {name: mean_of_units({u: v for u, v in units.items() if u[0] == name}) for name in groups}
    return max(found.items(), key=lambda pair: pair[1].value or 0.0, default=None)


def difference(one: Units, other: Units) -> Measured:
    """``one`` less ``other`` over the groups, questions and draws that both have."""
    return _by_question((unit[1], unit[0], one[unit] - other[unit]) for unit in one if unit in other)


def draws_of(units: Units) -> int:
    """How many draws of known answers a mean is over."""
    return len({draw for _, _, draw in units})


def groups_of(units: Units) -> int:
    """How many groups a mean is over."""
    return len({group for group, _, _ in units})


def _by_question(values: Iterable[tuple[str, str, float]]) -> Measured:
    """Of question, group and value; groups count the same, however many draws each has."""
    clusters: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for text, group, value in values:
        clusters[text][group].append(value)
    return mean_of_clusters([[statistics.fmean(of) for of in one.values()] for one in clusters.values()])


# -- one model for everybody -------------------------------------------------------------------------

Skew = dict[str, dict[str, list[dict[str, float]]]]
"""By where (held out, trained on) and measure: of each run, values by question."""


def skews(found: Found, budget: Budget) -> dict[str, Skew]:
    """By method, with what needs no model: equal shares, the mean of the groups, the votes themselves."""
    made: dict[str, Skew] = {}
    for cell, result in found.items():
        if cell.startswith("skew/"):
            skew = made.setdefault(result["method"], {HELD: defaultdict(list), SEEN: defaultdict(list)})
            for where in (HELD, SEEN):
                for measure in ("js", "majority", "peak"):
                    skew[where][measure].append(result[where][measure])
    return {**made, **_without_model(budget)}


def _without_model(budget: Budget) -> dict[str, Skew]:
    survey = people(budget)
    crowd, (train, test) = everyone(survey), split_of_questions(survey)
    told = [estimated(votes_of(crowd, train, budget.pairs, seed)) for seed in range(budget.seeds)]
    equal = {one.text: (1 / len(one.options),) * len(one.options) for one in survey.questions}
    mean = {one.text: group_mean(survey, one) for one in survey.questions}
    made: dict[str, Skew] = {}
    for name, runs in (("uniform", [equal]), ("mean of groups", [mean]), ("votes, smoothed", told)):
        made[name] = {HELD: defaultdict(list), SEEN: defaultdict(list)}
        for where, questions in ((HELD, test), (SEEN, train)):
            for shares in runs:
                skew = {
                    one.text: skew_of(shares[one.text], crowd.shares["everyone"][one.text])
                    for one in questions
                    if one.text in shares
                }
                for measure in ("js", "majority", "peak") if skew else ():
                    made[name][where][measure].append({text: of[measure] for text, of in skew.items()})
    return made


def over_runs(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By question, the mean of the runs."""
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for text, value in run.items():
            values[text].append(value)
    return {text: statistics.fmean(of) for text, of in values.items()}


def mean_of_runs(runs: Sequence[Mapping[str, float]]) -> Measured:
    """Over questions, of the mean of the runs."""
    return _by_question((text, "", value) for text, value in over_runs(runs).items())


def difference_of_runs(one: Sequence[Mapping[str, float]], other: Sequence[Mapping[str, float]]) -> Measured:
    """Question by question, of the means of the runs."""
    a, b = over_runs(one), over_runs(other)
    return _by_question((text, "", a[text] - b[text]) for text in a if text in b)


# -- each group named --------------------------------------------------------------------------------


def robust_units(found: Found, budget: Budget) -> dict[str, dict[Unit, float]]:
    """Distances by method, with what needs no model: equal shares, and the mean of the other groups."""
    runs: dict[str, dict[Unit, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell, result in found.items():
        if cell.startswith("robust/"):
            for group, of in result["groups"].items():
                for text, value in of.items():
                    runs[result["method"]][group, text, 0].append(value)
    made = {name: {unit: statistics.fmean(of) for unit, of in units.items()} for name, units in runs.items()}
    survey, true = people(budget), true_shares()
    asked = [(name, one) for name in survey.groups for one in split_of_questions(survey)[1]]
    made["uniform"] = {
        (name, one.text, 0): between([1.0] * len(one.options), true[name][one.text]).js for name, one in asked
    }
    made["mean of the other groups"] = {
        (name, one.text, 0): between(group_mean(survey, one, without=name), true[name][one.text]).js
        for name, one in asked
    }
    return made


def robust_runs(found: Found, method: str) -> list[dict[str, float]]:
    """Of each run, the mean distance of each group."""
    return [
        {group: statistics.fmean(of.values()) for group, of in result["groups"].items() if of}
        for cell, result in found.items()
        if cell.startswith(f"robust/{method}/")
    ]


def only_groups(units: Units, groups: Iterable[str]) -> dict[Unit, float]:
    """Those of some groups."""
    names = set(groups)
    return {unit: value for unit, value in units.items() if unit[0] in names}


def missing_answers(found: Found) -> int:
    """Questions that the language model was asked and did not answer."""
    rows = sum(row["missing"] for result in found.values() for row in result.get("rows", ()))
    skew = sum(
        result[where]["missing"] for result in found.values() for where in (HELD, SEEN) if where in result
    )
    return rows + skew + sum(result["missing"] for result in found.values() if "groups" in result)


def numbers_of(found: Found, budget: Budget) -> dict[str, Any]:
    """Every mean of the page, with those of groups and runs, as plain data."""
    few = [
        {
            "predictor": name,
            "variant": variant,
            "known": known,
            "draws": draws_of(units),
            "js": mean_of_units(units).to_json(),
            "by_group": _by_group(units),
        }
        for (name, variant, known), units in few_units(found).items()
    ]
    skew = [
        {
            "method": name,
            "where": where,
            "measure": measure,
            **mean_of_runs(runs).to_json(),
            "runs": [statistics.fmean(run.values()) if run else None for run in runs],
        }
        for name, of in skews(found, budget).items()
        for where, measures in of.items()
        for measure, runs in measures.items()
    ]
    robust = [
        {"method": name, "js": mean_of_units(units).to_json(), "by_group": _by_group(units)}
        for name, units in robust_units(found, budget).items()
    ]
    return {"new groups": few, "one model for everybody": skew, "each group named": robust}


def _by_group(units: Units) -> dict[str, Any]:
    return {
        name: mean_of_units(only_groups(units, [name])).to_json()
        for name in dict.fromkeys(group for group, _, _ in units)
    }
