"""What the words of a choice mean: which answer, a tie, a number. What is not here is not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.errors import DataError, did_you_mean
from charter.label import VERDICT, Kind, Outcome

_FIRST = ("a", "left", "first", "model a", "answer a", "response a", "a is better", "left is better")
_SECOND = ("b", "right", "second", "model b", "answer b", "response b", "b is better", "right is better")
_TIE = ("tie", "equal", "same", "draw", "no preference", "both good", "tie (both good)")
_BOTH_BAD = (
    "both bad",
    "bothbad",
    "tie (bothbad)",
    "tie (both bad)",
    "both are bad",
    "neither",
    "neither is good",
)
_NOT_APPLICABLE = ("not applicable", "n/a", "na", "does not apply")
_SKIPPED = ("skip", "skipped")
_MARGINS = {"a>>b": 2.0, "a>b": 1.0, "b>a": -1.0, "b>>a": -2.0, "a>>>b": 3.0, "b>>>a": -3.0}
_YES = ("yes", "true", "pass", "passes", "good", "thumbs up")
_NO = ("no", "false", "fail", "fails", "bad", "thumbs down")

MEANINGS = ("first", "second", "tie", "both_bad", "not_applicable", "skipped")
"""What a map may say of a choice, besides a number."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a rater's answer to one question says."""

    kind: Kind
    outcome: Outcome = "judged"
    value: Any = None
    scale: tuple[float, ...] = ()


def said_by(choice: str, answers: int, values: Mapping[str, float | str] | None = None) -> Said | None:
    """What ``choice`` says of ``answers`` answers; None where nobody said what it means.

    Raises:
        DataError: the map gives it a meaning that does not fit.
    """
    if values and choice in values:
        return _mapped(choice, values[choice], answers, _scale_of(values))
    word = choice.strip().lower().replace("_", " ")
    number = _number(word)
    if answers == 2:
        if word.replace(" ", "") in _MARGINS:
            return Said("pair", value=_MARGINS[word.replace(" ", "")])
        if word in _FIRST or word in _SECOND:
            return Said("pair", value=1 if word in _FIRST else -1)
        if word in _TIE:
            return Said("pair", "tie")
        if word in _BOTH_BAD:
            return Said("pair", "both_bad")
    elif word in _YES or word in _NO:
        return Said("rating", value=1 if word in _YES else 0, scale=VERDICT)
    elif number is not None:
        return Said("rating", value=number)
    kind: Kind = "pair" if answers == 2 else "rating"
    if word in _NOT_APPLICABLE:
        return Said(kind, "not_applicable")
    return Said(kind, "skipped") if word in _SKIPPED else None


def margin(number: float) -> Said:
    """A number about two answers: above 0 the first is better, 0 is a tie."""
    return Said("pair", "tie") if number == 0 else Said("pair", value=number)


def _scale_of(values: Mapping[str, float | str]) -> tuple[float, ...]:
    """The lowest and highest number that the map's choices mean; () where fewer than two differ."""
    numbers = sorted({float(meaning) for meaning in values.values() if not isinstance(meaning, str)})
    return (numbers[0], numbers[-1]) if len(numbers) > 1 else ()


def _mapped(choice: str, meaning: float | str, answers: int, scale: tuple[float, ...]) -> Said:
    if not isinstance(meaning, str):
        return margin(meaning) if answers == 2 else Said("rating", value=meaning, scale=scale)
    if meaning not in MEANINGS:
        raise DataError(f"{choice!r} means {meaning!r}", fix=did_you_mean(meaning, MEANINGS))
    kind: Kind = "pair" if answers == 2 else "rating"
    if meaning in ("not_applicable", "skipped"):
        return Said(kind, meaning)  # type: ignore[arg-type]
    if answers != 2:
        raise DataError(f"{choice!r} means {meaning!r}, said of {answers} answers", fix="two can be compared")
    if meaning in ("tie", "both_bad"):
        return Said("pair", meaning)  # type: ignore[arg-type]
    return Said("pair", value=1 if meaning == "first" else -1)


def _number(word: str) -> float | None:
    try:
        found = float(word)
    except ValueError:
        return None
    return found if found - found == 0 else None  # not NaN, not infinite
