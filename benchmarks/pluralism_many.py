"""Cells on the preferences of many people: does the majority take all, and who is served worst?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pluralism_budget import Budget
from pluralism_data import everyone, pairs, people, rows_of_votes, split_of_questions, votes_of
from pluralism_model import Cell, Result, Study, distances, taker_of, trained

from charter.data.survey import Question, Survey
from charter.evaluation.pluralism.asking import SurveyTaker
from charter.evaluation.pluralism.wording import STEER, Asked
from charter.evaluation.suite.distance import between
from charter.testing.survey import true_shares

HELD, SEEN = "held out", "trained on"


def skew_cells(budget: Budget) -> list[Cell]:
    """Untrained, then DPO and GDPO on the same votes."""
    made = [_skew_cell("untrained", 0)]
    return made + [_skew_cell(name, seed) for seed in range(budget.seeds) for name in ("gdpo", "dpo")]


def imitation_cells(budget: Budget) -> list[Cell]:
    """Plain imitation of the same votes: what GDPO's other terms add is what it is better by."""
    return [_skew_cell("sft", seed) for seed in range(budget.seeds)]


def robust_cells(seed: int) -> list[Cell]:
    """DPO and group-robust DPO on the same pairs, with the untrained model the first time."""
    made = [_robust_cell("untrained", 0)] if seed == 0 else []
    return made + [_robust_cell(name, seed) for name in ("dpo", "gr-dpo")]


def _skew_cell(name: str, seed: int) -> Cell:
    return Cell(f"skew/{name}/seed{seed}", lambda study: skew_cell(study, name, seed))


def skew_cell(study: Study, name: str, seed: int) -> Result:
    """Trained on the votes of all people together: how the model's answers are spread afterwards."""
    survey = people(study.budget)
    crowd, (train, test) = everyone(survey), split_of_questions(survey)
    if name == "untrained":
        policy = study.load()
    else:
        rows = rows_of_votes(votes_of(crowd, train, study.budget.pairs, seed), name)
        policy = trained(study, name, rows, seed, num_train_epochs=1.0, learning_rate=study.budget.lr)
    taker = taker_of(policy)
    return {"method": name, HELD: _skew(taker, crowd, test), SEEN: _skew(taker, crowd, train)}


def _skew(taker: SurveyTaker, crowd: Survey, questions: Sequence[Question]) -> dict[str, Any]:
    """By question: distance from people's shares, and what the majority's option gets beyond its share."""
    found: dict[str, dict[str, float]] = {"js": {}, "majority": {}, "peak": {}}
    spreads = taker([Asked(one) for one in questions])
    for one, spread in zip(questions, spreads, strict=True):
        if spread.measured:
            for key, value in skew_of(spread.shares, crowd.shares["everyone"][one.text]).items():
                found[key][one.text] = value
    return {**found, "missing": len(questions) - len(found["js"])}


def skew_of(shares: Sequence[float], wanted: Sequence[float]) -> dict[str, float]:
    """Distance, the share of the majority's option less people's, and the largest share less theirs."""
    top = max(range(len(wanted)), key=wanted.__getitem__)
    return {
        "js": between(shares, wanted).js,
        "majority": shares[top] - wanted[top],
        "peak": max(shares) - max(wanted),
    }


def _robust_cell(name: str, seed: int) -> Cell:
    return Cell(f"robust/{name}/seed{seed}", lambda study: robust_cell(study, name, seed))


def robust_cell(study: Study, name: str, seed: int) -> Result:
    """Trained on each group's preferences, named in the prompt: distances of groups on other questions."""
    survey = people(study.budget)
    train, test = split_of_questions(survey)
    weights: dict[str, float] = {}
    if name == "untrained":
        policy = study.load()
    else:
        metrics: dict[str, float] = {}
        rows = pairs(survey, train, study.budget.pairs, seed)
        policy = trained(
            study, name, rows, seed, metrics, num_train_epochs=1.0, learning_rate=study.budget.lr
        )
        mark = "group_weight/"
        weights = {key.removeprefix(mark): value for key, value in metrics.items() if key.startswith(mark)}
    taker = taker_of(policy)
    groups, missing = {}, 0
    for group in survey.groups:
        asked = [Asked(one, STEER.format(group=group)) for one in test]
        groups[group], unanswered = distances(taker, asked, true_shares()[group])
        missing += unanswered
    return {"method": name, "groups": groups, "missing": missing, "weights": weights}
