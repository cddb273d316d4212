"""How uncertain people's labels of an item leave us: what active assignment asks first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.user_file import run_file


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a score may rest on.

    Attributes:
        said: (outcome, value) of each label so far, values as in :class:`charter.label.Label`.
        judge: what judges said, by name.
    """

    id: str
    mode: str
    prompt: Any
    answers: tuple[str, ...]
    principle: str
    judge: Mapping[str, Any]
    said: tuple[tuple[str, Any], ...]
    scale: int


Score = Callable[[Candidate], float]
"""Higher = asked sooner."""


def disagreement(item: Candidate) -> float:
    """Uncertainty left by the labels so far, in (0, 1]; 1 where nobody spoke or people are split.

    A pair: ``4 p (1 - p)`` of the smoothed share p that prefers the first (one vote for each side
    added beforehand). A rating: variance around the mean, with one rating of the variance of the
    uniform scale added. What has no such measure counts how often it was labelled.
    """
    said = [(outcome, value) for outcome, value in item.said if outcome != "skipped"]
    if item.mode == "pair":
        share = (1 + sum(_for_first(outcome, value) for outcome, value in said)) / (2 + len(said))
        return 4 * share * (1 - share)
    if item.mode == "rating":
        rated = [float(value) for outcome, value in said if outcome == "judged"]
        uniform = (item.scale**2 - 1) / 12
        mean = sum(rated) / len(rated) if rated else 0.0
        spread = sum((value - mean) ** 2 for value in rated)
        return min(1.0, (uniform + spread) / (1 + len(rated)) / uniform)
    return 1 / (1 + len(said))


def split(item: Candidate) -> bool:
    """Whether people contradict each other: different sides, or ratings two apart or more."""
    if item.mode == "rating":
        rated = [value for outcome, value in item.said if outcome == "judged"]
        return bool(rated) and max(rated) - min(rated) >= 2
    if item.mode == "pair":
        return len({_side(outcome, value) for outcome, value in item.said if outcome != "skipped"}) > 1
    return False


def load_score(spec: str) -> Score:
    """The function that ``FILE.py:NAME`` names.

    Raises:
        UserError: no such file or function, or the file broke.
    """
    file, _, name = spec.rpartition(":")
    if not file or not name:
        raise UserError(f"{spec!r} names no function", fix="write it as score.py:uncertainty")
    if not Path(file).is_file():
        raise UserError("no such file", where=file)
    try:
        found = getattr(run_file(Path(file), f"charter_score_{abs(hash(file))}"), name)
    except AttributeError:
        raise UserError(f"no function {name!r}", where=file) from None
    except Exception as error:
        raise UserError(f"the file broke: {type(error).__name__}: {error}", where=file) from error
    if not callable(found):
        raise UserError(f"{name!r} is no function", where=file)
    return _checked(found, spec)


def _checked(score: Callable[[Candidate], Any], spec: str) -> Score:
    def checked(item: Candidate) -> float:
        try:
            value = float(score(item))
        except Exception as error:
            raise UserError(f"the score broke: {type(error).__name__}: {error}", where=spec) from error
        if not math.isfinite(value):
            raise UserError(f"the score of item {item.id} is {value}", where=spec)
        return value

    return checked


def _for_first(outcome: str, value: Any) -> float:
    return 0.5 if outcome != "judged" else float(value > 0)


def _side(outcome: str, value: Any) -> str:
    return outcome if outcome != "judged" else ("first" if value > 0 else "second")


def all_scored(score: Score, items: Sequence[Candidate]) -> list[float]:
    """The score of each."""
    return [score(item) for item in items]
