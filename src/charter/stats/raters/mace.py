"""MACE, a second opinion on who guesses: a rater either knows the answer or draws from habits of their own.

Hovy et al., NAACL 2013. The fit is crowd-kit's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from charter.errors import EnvironmentFault
from charter.stats.agreement import Rating


@dataclass(frozen=True, slots=True)
class Mace:
    """What MACE says.

    Attributes:
        competence: probability that a rater does not guess, by rater.
        answers: the most probable true value, by item.
    """

    competence: dict[Hashable, float]
    answers: dict[Hashable, float]


def need_crowd_kit() -> None:
    """Say that crowd-kit is missing before anything is computed.

    Raises:
        EnvironmentFault: it is not installed.
    """
    if find_spec("crowdkit") is None:
        raise EnvironmentFault("MACE needs the package crowd-kit", fix="pip install 'charter[crowd]'")


def mace(ratings: Iterable[Rating], *, restarts: int = 10, seed: int = 0) -> Mace:
    """Fit MACE by variational Bayes.

    Raises:
        EnvironmentFault: crowd-kit is not installed.
        ValueError: no ratings.
    """
    need_crowd_kit()
    from crowdkit.aggregation import MACE
    from pandas import DataFrame, factorize  # type: ignore[import-untyped]

    rows = [(row.item, row.rater, row.value) for row in ratings]
    if not rows:
        raise ValueError("no ratings")
    frame: Any = DataFrame(rows, columns=["task", "worker", "label"])
    model = MACE(n_restarts=restarts, random_state=seed)
    answers = model.fit_predict(frame)
    raters = factorize(frame["worker"])[1]
    # Expected counts scaled: the two columns, guessing and knowing, do not quite add up to 1.
    knows = (float(knowing / (guessing + knowing)) for guessing, knowing in model.spamming_)
    return Mace(
        competence=dict(zip(raters, knows, strict=True)),
        answers={item: float(value) for item, value in answers.items()},
    )
