"""A synthetic survey: groups of people with known opinions, in real questions.

Each person has a place on four scales; each option pulls towards a place. A person chooses by a softmax of
how well the option fits; a group's shares are the mean over its people. The file holds what a finite number
of people answered, so that small groups are noisy; :func:`true_shares` holds what all of them would.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from charter.data.survey import Question, Survey
from charter.rundir import write_jsonl
from charter.testing.survey_questions import ITEMS, Item

SCALES = ("new ways", "the community", "caution", "nature")
"""What the four scales run to, from the opposite: old ways, the individual, risk, growth."""


@dataclass(frozen=True, slots=True)
class People:
    """A group of people.

    Attributes:
        name: as a steering prompt names it.
        place: mean on each of :data:`SCALES`, about -1.5 to 1.5.
        spread: standard deviation of its people around it.
        size: how many answered.
    """

    name: str
    place: tuple[float, float, float, float]
    spread: float
    size: int


PEOPLE = (
    People("young people in a large city", (1.4, 0.4, -0.6, 0.8), 0.8, 620),
    People("farmers in a dry region", (-0.8, 0.9, 0.2, -0.4), 0.6, 240),
    People("retired people in a coastal town", (-1.2, 0.5, 1.2, 0.3), 0.7, 480),
    People("founders of small companies", (0.9, -1.3, -1.1, -0.9), 0.7, 150),
    People("nurses and carers", (0.1, 1.3, 0.9, 0.2), 0.6, 310),
    People("students of engineering", (1.2, -0.4, -1.0, -0.2), 0.7, 400),
    People("parents of small children", (0.0, 0.6, 1.4, 0.4), 0.8, 560),
    People("people who work in factories", (-0.6, 0.7, 0.3, -1.0), 0.7, 380),
    People("members of a hiking club", (0.2, 0.1, 0.1, 1.6), 0.5, 90),
    People("villagers in the mountains", (-1.4, 1.1, 0.6, 0.9), 0.6, 60),
    People("night-shift workers", (0.3, -0.7, -0.2, -0.6), 0.9, 45),
    People("artists who live together", (1.3, 1.2, -1.2, 1.1), 0.6, 40),
)
"""Twelve groups; the last four are small."""

_SHARPNESS = 1.6
_DRAWS = 4000
"""People who stand for all of a group."""


def synthetic_survey(seed: int = 0) -> Survey:
    """The survey as it was answered by as many people as each group has.

    Args:
        seed: of who was asked.
    """
    import numpy as np

    rng = np.random.default_rng([seed, 1])
    true = true_shares()
    counts = {
        people.name: {
            text: rng.multinomial(people.size, np.asarray(shares))
            for text, shares in true[people.name].items()
        }
        for people in PEOPLE
    }
    return Survey(
        questions(),
        {
            name: {text: tuple((of / of.sum()).tolist()) for text, of in table.items()}
            for name, table in counts.items()
        },
        {name: {text: float(of.sum()) for text, of in table.items()} for name, table in counts.items()},
        "synthetic survey",
    )


def questions() -> tuple[Question, ...]:
    """The questions of the survey."""
    return tuple(Question(item.text, item.options, item.ordered) for item in ITEMS)


@cache
def true_shares() -> dict[str, dict[str, tuple[float, ...]]]:
    """Of each group, for each question's text, the share of each option among all its people.

    Made once; not to be changed.
    """
    import numpy as np

    found: dict[str, dict[str, tuple[float, ...]]] = {}
    for index, people in enumerate(PEOPLE):
        rng = np.random.default_rng([97, index])
        places = np.asarray(people.place) + people.spread * rng.standard_normal((_DRAWS, len(SCALES)))
        found[people.name] = {}
        for item in ITEMS:
            scores = _SHARPNESS * places @ np.asarray(pulls(item)).T
            scores -= scores.max(axis=1, keepdims=True)
            chances = np.exp(scores)
            shares = (chances / chances.sum(axis=1, keepdims=True)).mean(axis=0)
            found[people.name][item.text] = tuple(shares.tolist())
    return found


def pulls(item: Item) -> list[list[float]]:
    """Which way each option pulls on each scale: evenly along its own scale, and to and fro on another."""
    count = len(item.options)
    found = []
    for index in range(count):
        row = [0.0] * len(SCALES)
        row[item.scale] += -1.0 + 2.0 * index / (count - 1)
        row[item.other] += 0.35 * (-1) ** index * (0.5 if item.ordered else 1.0)
        found.append(row)
    return found


def write_survey(path: Path, seed: int = 0) -> Path:
    """Write :func:`synthetic_survey` as a file that ``charter pluralism`` reads."""
    write_jsonl(path, synthetic_survey(seed).rows())
    return path
