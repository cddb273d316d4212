"""Data of the pluralism study: who is held out, and what people's answers become for each method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charter.data.survey import Question, Survey
from charter.evaluation.pluralism.wording import STEER, Asked, letters, orders_of, turns_of
from charter.testing.survey import PEOPLE, synthetic_survey, true_shares

HELD_OUT = (
    "nurses and carers",
    "students of engineering",
    "villagers in the mountains",
    "artists who live together",
)
"""Two large groups and two small ones that GPO does not learn from."""


@dataclass(frozen=True)
class Budget:
    """How much is done; a test does less.

    Attributes:
        questions: of the survey, evenly spread over it.
        sizes: known answers of a group.
        targets: most questions predicted by what runs the language model.
        gpo_steps: of meta-training.
        gpo_width, gpo_layers: of the network.
        pairs: preferences that a run trains on.
        votes: answers that stand for a question in fine-tuning.
        lr: of LoRA.
        seeds: of what is trained.
    """

    questions: int = 60
    sizes: tuple[int, ...] = (0, 2, 5, 10)
    targets: int = 20
    gpo_steps: int = 3000
    gpo_width: int = 64
    gpo_layers: int = 3
    pairs: int = 480
    votes: int = 8
    lr: float = 5e-4
    seeds: int = 2


def people(budget: Budget) -> Survey:
    """The survey as it was answered."""
    survey = synthetic_survey()
    return survey.only(questions=survey.questions[:: max(1, len(survey.questions) // budget.questions)])


def split_of_questions(survey: Survey) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Two thirds to train on, the others to measure on."""
    train = tuple(one for index, one in enumerate(survey.questions) if index % 3 != 2)
    return train, tuple(one for index, one in enumerate(survey.questions) if index % 3 == 2)


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


# -- rows ------------------------------------------------------------------------------------------


def votes(question: Question, shares: Sequence[float], count: int, steer: str) -> Iterator[dict[str, Any]]:
    """Answers in proportion to the shares, in both orders of the options, for fine-tuning."""
    for order in orders_of(question):
        turns = turns_of(Asked(question, steer), order)
        for option, times in enumerate(quotas(shares, count)):
            letter = letters(question)[order.index(option)]
            for _ in range(times):
                yield {"prompt": _turns(turns), "completion": [{"role": "assistant", "content": letter}]}


def quotas(shares: Sequence[float], count: int) -> list[int]:
    """Whole numbers in proportion to the shares that sum to ``count`` (largest remainders)."""
    exact = np.asarray(shares) * count
    whole = np.floor(exact).astype(int)
    for index in np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]:
        whole[index] += 1
    return whole.tolist()  # type: ignore[no-any-return]


def pairs(survey: Survey, questions: Sequence[Question], count: int, seed: int) -> list[dict[str, Any]]:
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
            row = _pair(question, better, worse, STEER.format(group=name), rng)
            made.append({**row, "group": name})
    return [made[index] for index in rng.permutation(len(made))]


def pooled(
    crowd: Survey, questions: Sequence[Question], count: int, seed: int, *, beliefs: bool
) -> list[dict[str, Any]]:
    """Pairs of all people together, whose group nobody says.

    With ``beliefs`` rows are GDPO's: the option a person chose is the belief, and both answers are judged
    under it; without, the answer chosen and another one.
    """
    rng = np.random.default_rng([seed, 6])
    made = []
    for index in range(count):
        question = questions[index % len(questions)]
        shares = crowd.shares["everyone"][question.text]
        if not beliefs:
            better, worse = drawn_pair(shares, rng)
            made.append(_pair(question, better, worse, "", rng))
            continue
        held = int(rng.choice(len(shares), p=np.asarray(shares) / sum(shares)))
        other = int(rng.choice([one for one in range(len(shares)) if one != held]))
        order = orders_of(question)[int(rng.integers(2))]
        made.append(
            {
                "prompt": _turns(turns_of(Asked(question), order)),
                "beliefs": letters(question),
                "p_star": [shares[option] for option in order],
                "belief": order.index(held),
                "chosen": _said(question.options[held]),
                "rejected": _said(question.options[other]),
            }
        )
    return made


def drawn_pair(shares: Sequence[float], rng: np.random.Generator) -> tuple[int, int]:
    """Two options drawn alike, the one that a person preferred first."""
    one, other = (int(index) for index in rng.choice(len(shares), 2, replace=False))
    chance = shares[one] / max(shares[one] + shares[other], 1e-12)
    return (one, other) if rng.random() < chance else (other, one)


def _pair(
    question: Question, better: int, worse: int, steer: str, rng: np.random.Generator
) -> dict[str, Any]:
    order = orders_of(question)[int(rng.integers(2))]
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
