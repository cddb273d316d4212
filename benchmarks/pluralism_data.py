"""Data of the pluralism study: who is held out, and what people's answers become for each method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pluralism_budget import Budget

from charter.data.survey import Question, Survey
from charter.evaluation.pluralism.wording import STEER, Asked, letters, orders_of, turns_of
from charter.testing.survey import PEOPLE, synthetic_survey, true_shares

HELD_OUT = (
    "nurses and carers",
    "students of engineering",
    "villagers in the mountains",
    "artists who live together",
)
"""Two large groups and two small ones that nobody learns from before their few answers are known."""

Row = dict[str, Any]

SMOOTHING = 0.5
"""Votes added to each option where shares are estimated from few votes."""


def people(budget: Budget) -> Survey:
    """The survey as it was answered."""
    survey = synthetic_survey()
    return survey.only(questions=survey.questions[:: max(1, len(survey.questions) // budget.questions)])


def split_of_questions(survey: Survey) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Two thirds to train on or to know answers of, the others to measure on."""
    train = tuple(one for index, one in enumerate(survey.questions) if index % 3 != 2)
    return train, tuple(one for index, one in enumerate(survey.questions) if index % 3 == 2)


def known_questions(survey: Survey, group: str, count: int, draw: int) -> list[str]:
    """Texts of the first ``count`` questions of a group that become known; targets are never among them.

    Groups have draws of their own, and more known answers are the same ones and some others.
    """
    texts = [one.text for one in split_of_questions(survey)[0]]
    names = [one.name for one in PEOPLE]
    order = np.random.default_rng([draw, names.index(group), 11]).permutation(len(texts))
    return [texts[index] for index in order[:count]]


def everyone(survey: Survey) -> Survey:
    """All people as one group, each person counting the same, with their true shares."""
    true, sizes = true_shares(), {one.name: one.size for one in PEOPLE}
    total = sum(sizes.values())
    shares = {
        one.text: tuple(
            sum(sizes[name] * true[name][one.text][index] for name in sizes) / total
            for index in range(len(one.options))
        )
        for one in survey.questions
    }
    return Survey(survey.questions, {"everyone": shares}, {"everyone": {}}, "everyone")


def group_mean(survey: Survey, question: Question, without: str = "") -> tuple[float, ...]:
    """Mean of the groups' answers as they were given, each group counting the same, one left out."""
    found = [of[question.text] for name, of in survey.shares.items() if name != without]
    return tuple(float(share) for share in np.mean(np.asarray(found), axis=0))


# -- rows ------------------------------------------------------------------------------------------


def votes(question: Question, shares: Sequence[float], count: int, steer: str) -> Iterator[Row]:
    """Answers in proportion to the shares, in both orders of the options, for fine-tuning."""
    for order in orders_of(question):
        turns = turns_of(Asked(question, steer), order)
        for option, times in enumerate(quotas(shares, count)):
            letter = letters(question)[order.index(option)]
            for _ in range(times):
                yield {"prompt": _turns(turns), "completion": _said(letter)}


def quotas(shares: Sequence[float], count: int) -> list[int]:
    """Whole numbers in proportion to the shares that sum to ``count`` (largest remainders)."""
    exact = np.asarray(shares) * count
    whole = np.floor(exact).astype(int)
    for index in np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]:
        whole[index] += 1
    return whole.tolist()  # type: ignore[no-any-return]


def pairs(survey: Survey, questions: Sequence[Question], count: int, seed: int) -> list[Row]:
    """What people prefer, a pair of options at a time; the prompt says which group is asked.

    Groups give pairs in proportion to their people. Of two options, each is preferred as often as its share
    says. Rows carry ``group``.
    """
    rng = np.random.default_rng([seed, 5])
    sizes = {one.name: one.size for one in PEOPLE if one.name in survey.groups}
    made = []
    for name, times in zip(
        sizes, quotas([n / sum(sizes.values()) for n in sizes.values()], count), strict=True
    ):
        for _ in range(times):
            question = questions[int(rng.integers(len(questions)))]
            better, worse = drawn_pair(survey.shares[name][question.text], rng)
            order = orders_of(question)[int(rng.integers(2))]
            row = _pair(question, better, worse, STEER.format(group=name), order)
            made.append({**row, "group": name})
    return [made[index] for index in rng.permutation(len(made))]


def drawn_pair(shares: Sequence[float], rng: np.random.Generator) -> tuple[int, int]:
    """Two options drawn alike, the one that a person preferred first."""
    one, other = (int(index) for index in rng.choice(len(shares), 2, replace=False))
    chance = shares[one] / max(shares[one] + shares[other], 1e-12)
    return (one, other) if rng.random() < chance else (other, one)


@dataclass(frozen=True)
class Vote:
    """What one person of the crowd chose.

    Attributes:
        question: that was asked.
        held: index of the option chosen.
        other: one of the others, drawn alike.
        order: in which the options were shown.
    """

    question: Question
    held: int
    other: int
    order: tuple[int, ...]


def votes_of(crowd: Survey, questions: Sequence[Question], count: int, seed: int) -> list[Vote]:
    """Votes of people drawn from the crowd, each question as often; every method is trained on the same."""
    rng = np.random.default_rng([seed, 6])
    made = []
    for index in range(count):
        question = questions[index % len(questions)]
        shares = np.asarray(crowd.shares["everyone"][question.text])
        held = int(rng.choice(len(shares), p=shares / shares.sum()))
        other = int(rng.choice([one for one in range(len(shares)) if one != held]))
        made.append(Vote(question, held, other, orders_of(question)[int(rng.integers(2))]))
    return made


def estimated(drawn: Sequence[Vote]) -> dict[str, tuple[float, ...]]:
    """Shares by question as the votes tell them, :data:`SMOOTHING` added to each option."""
    counts: dict[str, list[float]] = {}
    for one in drawn:
        counts.setdefault(one.question.text, [SMOOTHING] * len(one.question.options))[one.held] += 1
    return {text: tuple(count / sum(of) for count in of) for text, of in counts.items()}


def rows_of_votes(drawn: Sequence[Vote], method: str) -> list[Row]:
    """The votes as ``dpo``, ``gdpo`` or ``sft`` is trained on them.

    ``dpo``: the letter chosen, and another's. ``gdpo``: the letter chosen is the belief, both options' texts
    are judged under it, and the shares are those that the votes tell. ``sft``: the letter chosen.
    """
    shares = estimated(drawn)
    made: Mapping[str, Any] = {
        "dpo": lambda one: _pair(one.question, one.held, one.other, "", one.order),
        "gdpo": lambda one: _belief(one, shares[one.question.text]),
        "sft": lambda one: {
            "prompt": _turns(turns_of(Asked(one.question), one.order)),
            "completion": _said(letters(one.question)[one.order.index(one.held)]),
        },
    }
    return [made[method](one) for one in drawn]


def _belief(one: Vote, shares: Sequence[float]) -> Row:
    return {
        "prompt": _turns(turns_of(Asked(one.question), one.order)),
        "beliefs": letters(one.question),
        "p_star": [shares[option] for option in one.order],
        "belief": one.order.index(one.held),
        "chosen": _said(one.question.options[one.held]),
        "rejected": _said(one.question.options[one.other]),
    }


def _pair(question: Question, better: int, worse: int, steer: str, order: Sequence[int]) -> Row:
    names = letters(question)
    return {
        "prompt": _turns(turns_of(Asked(question, steer), order)),
        "chosen": _said(names[order.index(better)]),
        "rejected": _said(names[order.index(worse)]),
    }


def _turns(turns: Sequence[Any]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
