"""Cells on new groups of people: GPO, baselines, and the language model in context and fine-tuned.

All of them are asked the same questions of the same groups, and know the same answers.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pluralism_budget import Budget
from pluralism_data import HELD_OUT, known_questions, people, split_of_questions, votes
from pluralism_model import Cell, Result, Study, distances, taker_of, trained
from pluralism_version import finished

from charter.data.survey import Survey, split_groups
from charter.errors import DataError
from charter.evaluation.pluralism.wording import STEER, Asked
from charter.evaluation.suite.distance import between
from charter.feedback.gpo.baselines import Predictor, baselines, of_gpo
from charter.feedback.gpo.features import Embedder, Features
from charter.feedback.gpo.predictor import GPO
from charter.feedback.gpo.train import GPOTraining, train_network
from charter.models.gpo import GPOShape
from charter.models.policy import Policy
from charter.testing.survey import true_shares

VARIANTS = ("unasked", "asked")
"""Whether the training groups were asked the target questions too."""

CHOICE_KNOWN, CHOICE_DRAWS = 5, 2
"""Known answers with which fine-tuning chooses its learning rate; draws of them with which GPO does."""


def choice_cells(budget: Budget) -> list[Cell]:
    """What chooses learning rates, on training groups alone."""
    made = [_cell(f"choose/gpo/{rate:g}", gpo_choice, rate) for rate in budget.gpo_rates]
    return made + [_cell(f"choose/fine-tuned/{rate:g}", tuned_choice, rate) for rate in budget.tuned_rates]


def gpo_cells(budget: Budget) -> list[Cell]:
    """GPO and what needs no language model of its own."""
    made = [_cell(f"baselines/{variant}", baselines_cell, variant) for variant in VARIANTS]
    return made + [
        _cell(f"gpo/{variant}/seed{seed}", gpo_cell, variant, seed)
        for seed in range(budget.seeds)
        for variant in VARIANTS
    ]


def in_context_cells(budget: Budget, draw: int) -> list[Cell]:
    """The language model as it comes; with no known answer there is only one draw."""
    return [
        _cell(f"in-context/{size}/draw{draw}", in_context_cell, size, draw)
        for size in budget.sizes
        if size or draw == 0
    ]


def tuned_cells(budget: Budget, draw: int) -> list[Cell]:
    """The language model fine-tuned on each group's known answers."""
    return [
        _cell(f"fine-tuned/{group}/{size}/draw{draw}", tuned_cell, group, size, draw)
        for group in HELD_OUT
        for size in budget.sizes
        if size
    ]


def _cell(name: str, measure: Any, *arguments: Any) -> Cell:
    return Cell(name, lambda study: measure(study, *arguments))


# -- predictors on features ----------------------------------------------------------------------


def baselines_cell(study: Study, variant: str) -> Result:
    """What GPO must beat."""
    train, _ = _train_of(study.budget, variant)
    _, features = _features(study)
    rows = [
        row
        for name, predictor in baselines(train, features).items()
        for row in _predicted(study.budget, predictor, name, variant)
    ]
    return {"rows": rows}


def gpo_cell(study: Study, variant: str, seed: int) -> Result:
    """GPO, trained on the training groups at the learning rate that they chose."""
    rate = chosen_rate(study, "gpo", study.budget.gpo_rates)
    train, _ = _train_of(study.budget, variant)
    embedder, features = _features(study)
    gpo, loss = _gpo(study, train, features, embedder, rate, seed, f"{variant}{seed}")
    rows = _predicted(study.budget, of_gpo(gpo, features), "gpo", variant, seed)
    return {"rows": rows, "last_loss": loss, "learning_rate": rate}


def gpo_choice(study: Study, rate: float) -> Result:
    """Mean distance on training groups, each of a GPO that was trained on all other ones.

    Scored against the answers that were given: in earnest nobody would have the true shares.
    """
    train, _ = _train_of(study.budget, "unasked")
    everything, _ = _train_of(study.budget, "asked")
    embedder, features = _features(study)
    left_out = {}
    for group in train.groups[:: max(1, len(train.groups) // study.budget.gpo_folds)]:
        others = train.only([name for name in train.groups if name != group])
        gpo, _ = _gpo(study, others, features, embedder, rate, 0, f"choose{rate:g}{group}")
        rows = _predicted_of(
            study.budget,
            of_gpo(gpo, features),
            "gpo",
            everything.only([group]),
            everything.shares,
            draws=CHOICE_DRAWS,
        )
        left_out[group] = statistics.fmean(value for row in rows for value in row["js"].values())
    return {"rate": rate, "left_out": left_out, "js": statistics.fmean(left_out.values())}


def chosen_rate(study: Study, what: str, rates: Sequence[float]) -> float:
    """The learning rate that did best on training groups.

    Raises:
        DataError: they were not all measured.
    """
    found: dict[float, float] = {}
    for cell in choice_cells(study.budget):
        kept = finished(cell, study.cache) if cell.name.startswith(f"choose/{what}/") else None
        if kept is not None:
            found[kept["rate"]] = kept["js"]
    if set(found) != set(rates):
        raise DataError(f"the learning rate of {what} is not chosen yet", fix="measure 'choose' first")
    return min(found, key=found.__getitem__)


def _gpo(
    study: Study,
    train: Survey,
    features: Features,
    embedder: Embedder,
    rate: float,
    seed: int,
    name: str,
) -> tuple[GPO, float]:
    budget = study.budget
    width = next(iter(features.values())).shape[1]
    shape = GPOShape(width, width=budget.gpo_width, layers=budget.gpo_layers, feed_forward=budget.gpo_width)
    training = GPOTraining(
        steps=budget.gpo_steps, seed=seed, learning_rate=rate, most_context=budget.most_known
    )
    checkpoint = study.cache / f"{name.replace(' ', '_')}.pt"
    network, losses = train_network(train, features, shape, training, checkpoint)
    return GPO(network, embedder.reading, study.model, embedder.digest, train.groups), losses[-1]


def _features(study: Study) -> tuple[Embedder, Features]:
    embedder = Embedder(study.load(), store=study.cache / "features.sqlite")
    return embedder, embedder.questions(people(study.budget).questions)


def _train_of(budget: Budget, variant: str) -> tuple[Survey, Survey]:
    """Training groups, and held-out groups; ``unasked``: training groups do not answer the targets."""
    train, test = split_groups(people(budget), HELD_OUT)
    if variant == "unasked":
        train = train.only(questions=split_of_questions(train)[0])
    return train, test


def _predicted(
    budget: Budget, predictor: Predictor, name: str, variant: str, seed: int = 0
) -> list[dict[str, Any]]:
    _, test = _train_of(budget, variant)
    return _predicted_of(budget, predictor, name, test, true_shares(), variant=variant, seed=seed)


def _predicted_of(
    budget: Budget,
    predictor: Predictor,
    name: str,
    test: Survey,
    wanted: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    draws: int | None = None,
    **said: Any,
) -> list[dict[str, Any]]:
    """A row for each group, number of known answers and draw of them."""
    survey = people(budget)
    targets = [one.text for one in split_of_questions(survey)[1]]
    made = []
    for group, size, draw in _settings(budget, test.groups, budget.draws if draws is None else draws):
        own = test.shares[group]
        known = known_questions(survey, group, size, draw)
        found = predictor({text: own[text] for text in known}, targets)
        js = {
            text: between(one.tolist(), wanted[group][text]).js
            for text, one in zip(targets, found, strict=True)
        }
        made.append(_row(name, group, size, draw, js, 0, **said))
    return made


def _settings(budget: Budget, groups: Sequence[str], draws: int) -> Iterator[tuple[str, int, int]]:
    for group in groups:
        for size in budget.sizes:
            for draw in range(draws if size else 1):
                yield group, size, draw


def _row(
    name: str, group: str, size: int, draw: int, js: Mapping[str, float], missing: int, **said: Any
) -> dict[str, Any]:
    where = {"predictor": name, "group": group, "known": size, "draw": draw}
    return {**where, "js": dict(js), "missing": missing, **said}


# -- the language model ------------------------------------------------------------------------------


def in_context_cell(study: Study, size: int, draw: int) -> Result:
    """The language model with the group's name and its known answers in the prompt."""
    _, test = _train_of(study.budget, "asked")
    taker = taker_of(study.load())
    by_text = {one.text: one for one in test.questions}
    rows = []
    for group in test.groups:
        known = known_questions(people(study.budget), group, size, draw)
        shown = tuple((by_text[text], test.shares[group][text]) for text in known)
        asked = [
            Asked(one, STEER.format(group=group), shown)
            for one in split_of_questions(people(study.budget))[1]
        ]
        rows.append(_row("in-context", group, size, draw, *distances(taker, asked, true_shares()[group])))
    return {"rows": rows}


def tuned_cell(study: Study, group: str, size: int, draw: int) -> Result:
    """The language model fine-tuned on the group's known answers alone."""
    rate = chosen_rate(study, "fine-tuned", study.budget.tuned_rates)
    policy = _tuned(study, group, size, draw, rate)
    js, missing = _asked_as(study, policy, group, true_shares()[group])
    return {"rows": [_row("fine-tuned", group, size, draw, js, missing)], "learning_rate": rate}


def tuned_choice(study: Study, rate: float) -> Result:
    """Mean distance on some training groups, each after fine-tuning on its own few answers."""
    train, _ = _train_of(study.budget, "asked")
    size = min(CHOICE_KNOWN, study.budget.most_known)
    left_out = {}
    for group in train.groups[: study.budget.tuned_on]:
        js, _ = _asked_as(study, _tuned(study, group, size, 0, rate), group, train.shares[group])
        if not js:
            raise DataError(f"the model answered no question as {group!r}")
        left_out[group] = statistics.fmean(js.values())
    return {"rate": rate, "left_out": left_out, "js": statistics.fmean(left_out.values())}


def _tuned(study: Study, group: str, size: int, draw: int, rate: float) -> Policy:
    survey = people(study.budget)
    known = known_questions(survey, group, size, draw)
    rows = [
        row
        for one in survey.questions
        if one.text in known
        for row in votes(one, survey.shares[group][one.text], study.budget.votes, STEER.format(group=group))
    ]
    return trained(study, "sft", rows, 0, num_train_epochs=2.0, learning_rate=rate)


def _asked_as(
    study: Study, policy: Policy, group: str, wanted: Mapping[str, Sequence[float]]
) -> tuple[dict[str, float], int]:
    targets = split_of_questions(people(study.budget))[1]
    asked = [Asked(one, STEER.format(group=group)) for one in targets]
    return distances(taker_of(policy), asked, wanted)
