"""What the adapters share: numbers that may be text, conversations as rows, labels with ids of their line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from charter.data.columns import require
from charter.data.rows import Row
from charter.errors import DataError
from charter.label import Label
from charter.rundir import sha256_json
from charter.types import Content, Message, text_of


def number(row: Row, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A required finite number in ``[low, high]``; CSV files hold it as text."""
    value = require(row, name)[1]
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found) or not low <= found <= high:
        raise DataError(f"{name!r} is {value!r}, wanted a number from {low:g} to {high:g}", where=row.source)
    return found


def whole(row: Row, name: str, low: float = -math.inf, high: float = math.inf) -> int:
    """A required whole number in ``[low, high]``."""
    found = number(row, name, low, high)
    if found != int(found):
        raise DataError(f"{name!r} is {found:g}, wanted a whole number", where=row.source)
    return int(found)


def flag(row: Row, name: str) -> bool:
    """A required boolean; CSV files hold it as text."""
    value = require(row, name)[1]
    said = str(value).strip().lower()
    if said not in ("true", "false", "1", "0"):
        raise DataError(f"{name!r} is {value!r}, wanted true or false", where=row.source)
    return said in ("true", "1")


def filled(row: Row, name: str) -> str:
    """A required text with something in it."""
    value = require(row, name)[1]
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{name!r} is {value!r}, wanted text", where=row.source)
    return value


def item_of(*parts: Any) -> str:
    """The name of an item: labels of the same prompt and answers share it."""
    return sha256_json(list(parts))[:16]


def asked(prompt: Content) -> list[dict[str, str]]:
    """A prompt as turns of a row; text is what a user said."""
    turns = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def answered(text: str) -> list[dict[str, str]]:
    """An answer as turns of a row."""
    return [{"role": "assistant", "content": text}]


def transcript(turns: Sequence[Message]) -> str:
    """What follows a prompt, as one text: an answer as it is, several turns with their speakers."""
    if len(turns) == 1:
        return text_of(tuple(turns))
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.content}" for turn in turns)


def pair_row(prompt: Content, answers: Sequence[str], value: float, **more: Any) -> dict[str, Any]:
    """A preference row; ``value`` is above 0 where the first of ``answers`` is better."""
    better, worse = answers if value > 0 else (answers[1], answers[0])
    return {"prompt": asked(prompt), "chosen": answered(better), "rejected": answered(worse), **more}


def label_of_row(row: Row, name: str, suffix: str = "", **given: Any) -> Label:
    """A label whose id is the set, the line and ``suffix``."""
    line = row.source.rpartition(":")[2]
    try:
        return Label(id=":".join(filter(None, (name, line, suffix))), **given)
    except DataError as error:
        raise DataError(error.what, where=row.source, fix=error.fix) from None
