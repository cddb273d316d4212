"""Cells of the pluralism study: each is one measurement, kept in one file."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pluralism_data import HELD_OUT, Budget, everyone, pairs, people, pooled, split_of_questions, votes

import charter
from charter.data.survey import Question, Survey, split_groups
from charter.errors import DataError
from charter.evaluation.pluralism.asking import SurveyTaker
from charter.evaluation.pluralism.few_shot import few_shot, row_of, split_questions
from charter.evaluation.pluralism.measure import measure_pluralism
from charter.evaluation.pluralism.wording import STEER, Asked
from charter.evaluation.suite.distance import between
from charter.feedback.gpo.baselines import baselines, of_gpo
from charter.feedback.gpo.features import Embedder
from charter.feedback.gpo.predictor import GPO
from charter.feedback.gpo.train import GPOTraining, train_network
from charter.feedback.judging.local import LocalJudge
from charter.models.gpo import GPOShape
from charter.models.policy import Policy
from charter.testing.survey import true_shares
from charter.types import Group

LORA: Mapping[str, Any] = {"use_peft": True, "lr_scheduler_type": "cosine", "warmup_steps": 0.1}


@dataclass(frozen=True)
class Study:
    """Where and with what.

    Attributes:
        model: the language model.
        cache: folder of finished cells.
        budget: see :class:`Budget`.
        bf16: compute in bfloat16.
    """

    model: str
    cache: Path
    budget: Budget
    bf16: bool = True

    def load(self) -> Policy:
        """The language model as it comes."""
        return charter.load(self.model, bf16=self.bf16)


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        name: ``kind/...``, which is also its file.
        run: measures it.
    """

    name: str
    run: Callable[[Study], dict[str, Any]]

    def file(self, cache: Path) -> Path:
        """Where its result is kept."""
        return cache / f"{self.name.replace('/', '__').replace(' ', '_')}.json"


def cells_of(budget: Budget) -> list[Cell]:
    """All cells in the order they run, the cheapest first."""
    made = [_gpo_cell(seed) for seed in range(budget.seeds)]
    made += [_in_context_cell(size) for size in budget.sizes]
    made += [_tuned_cell(group, size) for group in HELD_OUT for size in budget.sizes if size]
    made += [_skew_cell("untrained", 0)]
    made += [_skew_cell(name, seed) for seed in range(budget.seeds) for name in ("dpo", "gdpo")]
    made += [_robust_cell("untrained", 0)]
    made += [_robust_cell(name, seed) for seed in range(budget.seeds) for name in ("dpo", "gr-dpo")]
    return made


# -- few answers of new groups ------------------------------------------------------------------


def _gpo_cell(seed: int) -> Cell:
    return Cell(f"gpo/seed{seed}", lambda study: gpo_cell(study, seed))


def gpo_cell(study: Study, seed: int) -> dict[str, Any]:
    """GPO on held-out groups, with the baselines that need no language model of their own."""
    budget, survey = study.budget, people(study.budget)
    train, test = split_groups(survey, HELD_OUT)
    embedder = Embedder(study.load(), store=study.cache / "features.sqlite")
    features = embedder.questions(survey.questions)
    width = next(iter(features.values())).shape[1]
    shape = GPOShape(width, width=budget.gpo_width, layers=budget.gpo_layers, feed_forward=budget.gpo_width)
    training = GPOTraining(
        steps=budget.gpo_steps, seed=seed, learning_rate=3e-3, most_context=max(budget.sizes)
    )
    network, losses = train_network(train, features, shape, training, study.cache / f"gpo{seed}.pt")
    gpo = GPO(network, embedder.reading, study.model, embedder.digest, train.groups)
    predictors = {"gpo": of_gpo(gpo, features), **(baselines(train, features) if seed == 0 else {})}
    rows = few_shot(predictors, test, budget.sizes, truth=true_shares())
    return {"rows": [row.to_json() for row in rows], "last_loss": losses[-1]}


def _in_context_cell(size: int) -> Cell:
    return Cell(f"in-context/{size}", lambda study: in_context_cell(study, size))


def in_context_cell(study: Study, size: int) -> dict[str, Any]:
    """The language model with the group's name and its known answers in the prompt."""
    _, test = split_groups(people(study.budget), HELD_OUT)
    taker = SurveyTaker(LetterJudge(study.load()))
    return {"rows": [_by_model(study, taker, test, group, size, "in-context", True) for group in test.groups]}


def _tuned_cell(group: str, size: int) -> Cell:
    return Cell(f"fine-tuned/{group}/{size}", lambda study: tuned_cell(study, group, size))


def tuned_cell(study: Study, group: str, size: int) -> dict[str, Any]:
    """The language model fine-tuned on the group's known answers alone."""
    _, test = split_groups(people(study.budget), HELD_OUT)
    known, _ = split_questions(test, group, max(study.budget.sizes), 0)
    steer = STEER.format(group=group)
    rows = [
        row
        for one in test.asked(group)
        if one.text in known[:size]
        for row in votes(one, test.shares[group][one.text], study.budget.votes, steer)
    ]
    policy = _trained(study, "sft", rows, 0, num_train_epochs=2.0)
    taker = SurveyTaker(LetterJudge(policy))
    return {"rows": [_by_model(study, taker, test, group, size, "fine-tuned", False)]}


def _by_model(
    study: Study, taker: SurveyTaker, test: Survey, group: str, size: int, name: str, examples: bool
) -> dict[str, Any]:
    """Distances of the language model's answers to a group's targets."""
    known, targets = split_questions(test, group, max(study.budget.sizes), 0)
    by_text = {one.text: one for one in test.questions}
    shown = tuple((by_text[text], test.shares[group][text]) for text in known[:size]) if examples else ()
    asked = [
        Asked(by_text[text], STEER.format(group=group), shown) for text in targets[: study.budget.targets]
    ]
    true = true_shares()[group]
    spreads = taker(asked)
    distances = [
        between(spread.shares, true[one.question.text]).js
        for one, spread in zip(asked, spreads, strict=True)
        if spread.measured
    ]
    if not distances:
        raise DataError(f"the model answered no question as {group!r}")
    row = row_of(name, size, {group: distances}).to_json()
    return {**row, "missing": len(asked) - len(distances)}


# -- the majority -----------------------------------------------------------------------------------


def _skew_cell(name: str, seed: int) -> Cell:
    return Cell(f"skew/{name}/seed{seed}", lambda study: skew_cell(study, name, seed))


def skew_cell(study: Study, name: str, seed: int) -> dict[str, Any]:
    """Trained on the preferences of all people together: how the model's answers are spread afterwards."""
    survey = people(study.budget)
    crowd, (train, test) = everyone(survey), split_of_questions(survey)
    if name == "untrained":
        policy = study.load()
    else:
        rows = pooled(crowd, train, study.budget.pairs, seed, beliefs=name == "gdpo")
        policy = _trained(study, name, rows, seed, num_train_epochs=1.0)
    taker = SurveyTaker(LetterJudge(policy))
    return {
        "method": name,
        **{
            where: _skew(taker, crowd, questions)
            for where, questions in (("trained on", train), ("held out", test))
        },
    }


def _skew(taker: SurveyTaker, crowd: Survey, questions: Sequence[Question]) -> dict[str, float]:
    """Mean distance from people's shares, and how much more than its share the majority's option gets."""
    distances, majority, peak = [], [], []
    for one, spread in zip(questions, taker([Asked(one) for one in questions]), strict=True):
        if not spread.measured:
            continue
        shares = crowd.shares["everyone"][one.text]
        top = max(range(len(shares)), key=shares.__getitem__)
        distances.append(between(spread.shares, shares).js)
        majority.append(spread.shares[top] - shares[top])
        peak.append(max(spread.shares) - max(shares))
    return {
        "js": statistics.fmean(distances),
        "majority_excess": statistics.fmean(majority),
        "peak_excess": statistics.fmean(peak),
        "questions": len(distances),
    }


# -- the worst-off group ------------------------------------------------------------------------------


def _robust_cell(name: str, seed: int) -> Cell:
    return Cell(f"robust/{name}/seed{seed}", lambda study: robust_cell(study, name, seed))


def robust_cell(study: Study, name: str, seed: int) -> dict[str, Any]:
    """Trained on each group's preferences, named in the prompt: distances of groups on other questions."""
    survey = people(study.budget)
    train, test = split_of_questions(survey)
    weights: dict[str, float] = {}
    if name == "untrained":
        policy = study.load()
    else:
        rows = pairs(survey, train, study.budget.pairs, seed)
        metrics: dict[str, float] = {}
        policy = _trained(study, name, rows, seed, metrics, num_train_epochs=1.0)
        mark = "group_weight/"
        weights = {key.removeprefix(mark): value for key, value in metrics.items() if key.startswith(mark)}
    true = true_shares()
    truth = replace(
        survey.only(questions=test),
        shares={name: {one.text: true[name][one.text] for one in test} for name in survey.groups},
    )
    found = measure_pluralism(SurveyTaker(LetterJudge(policy)), truth)
    return {"method": name, "weights": weights, **found.to_json()}


# -- training and asking ---------------------------------------------------------------------------


def _trained(
    study: Study,
    algorithm: str,
    rows: Sequence[dict[str, Any]],
    seed: int,
    metrics: dict[str, float] | None = None,
    **options: Any,
) -> Policy:
    """The model after training; ``metrics`` takes the last step's."""
    from charter.rundir import read_jsonl

    with tempfile.TemporaryDirectory() as folder:
        run = charter.train(
            algorithm,
            study.load(),
            list(rows),
            output_dir=Path(folder) / "run",
            learning_rate=study.budget.lr,
            seed=seed,
            bf16=study.bf16,
            **LORA,
            **options,
        )
        if metrics is not None:
            metrics |= read_jsonl(run.path / "metrics.jsonl")[-1]
    return run.policy


class LetterJudge(LocalJudge):
    """Reads the probability of an option's letter whatever follows it.

    What was trained to go on after the letter (a belief) would else be held to stop there.
    """

    def _branches(self, question: Any, options: Sequence[str]) -> Group:
        group = super()._branches(question, options)
        samples = []
        for sample in group.samples:
            done = sample.completion
            first = done.trained.index(True) + 1
            short = replace(done, token_ids=done.token_ids[:first], trained=done.trained[:first])
            samples.append(replace(sample, completion=short))
        if len({one.completion.token_ids for one in samples}) < len(samples):
            raise DataError("letters of options begin with the same token", fix="use another model")
        return replace(group, samples=tuple(samples))


def timed(cell: Cell, study: Study) -> dict[str, Any]:
    """The cell's result with its time."""
    began = time.perf_counter()
    found = cell.run(study)
    return {"cell": cell.name, **found, "seconds": round(time.perf_counter() - began, 1)}
