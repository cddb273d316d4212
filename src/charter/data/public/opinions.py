"""Opinion surveys: what share of a group chose each option.

OpinionQA (2303.17548), GlobalOpinionQA (2306.16388).
Shares are no person's label: they become targets of tests of kind ``distribution``. A row is one group
(``group``, ``distribution``), or all (``selections``: ``{group: shares}``, also as the text Python prints).
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.columns import require
from charter.data.public.parts import filled, item_of
from charter.data.public.schema import has
from charter.data.rows import Row
from charter.errors import DataError

ROUNDED = 0.02
"""How far from 1 printed shares may sum; they are divided by their sum."""

_SHARES = ("distribution", "responses", "shares")


@dataclass(frozen=True, slots=True)
class OpinionTarget:
    """How a group answered one question.

    Attributes:
        id: of question and options; the same for every group.
        prompt: the question.
        options: in the survey's order.
        target: share by option; they sum to 1.
        group: whose shares they are.
        ordered: the options stand in an order.
    """

    id: str
    prompt: str
    options: tuple[str, ...]
    target: Mapping[str, float]
    group: str
    ordered: bool = False

    def to_json(self) -> dict[str, Any]:
        """As a test of kind ``distribution``, with the group beside it."""
        return {
            "id": self.id,
            "kind": "distribution",
            "prompt": self.prompt,
            "options": list(self.options),
            "target": dict(self.target),
            "ordered": self.ordered,
            "group": self.group,
        }


def fits_opinions(values: Mapping[str, Any]) -> bool:
    """Whether a row is a question of a survey with shares."""
    one = "group" in values and any(name in values for name in _SHARES)
    return has(values, "question", "options") and (one or "selections" in values)


def read_opinions(row: Row) -> tuple[list[OpinionTarget], list[str]]:
    """The targets of a row, a group each; and what was left out, in words.

    Raises:
        DataError: no question, options or shares that can be read.
    """
    question = filled(row, "question")
    options = tuple(str(option) for option in _listed(row, "options"))
    if len(options) < 2 or len(set(options)) < len(options):
        raise DataError(f"'options' are not two or more different ones: {list(options)}", where=row.source)
    ordered = str(row.values.get("ordered", "")).lower() in ("true", "1")
    targets: list[OpinionTarget] = []
    left_out: list[str] = []
    for group, shares in _groups(row):
        try:
            target = _target(options, shares, f"{row.source}: {group}")
        except DataError as error:
            left_out.append(f"a group whose shares {error.what}")
            continue
        targets.append(OpinionTarget(item_of(question, *options), question, options, target, group, ordered))
    return targets, left_out


def _groups(row: Row) -> list[tuple[str, Any]]:
    if "selections" in row.values:
        found = _plain(row.values["selections"], row.source, "selections")
        if not isinstance(found, Mapping) or not found:
            raise DataError("'selections' is not {group: shares}", where=row.source)
        return [(str(group), shares) for group, shares in found.items()]
    name, value = require(row, *_SHARES)
    return [(filled(row, "group"), _plain(value, row.source, name))]


def _target(options: Sequence[str], shares: Any, where: str) -> dict[str, float]:
    if isinstance(shares, Mapping):
        if set(map(str, shares)) != set(options):
            raise DataError("do not name the options", where=where)
        shares = [shares[option] for option in options]
    if not isinstance(shares, Sequence) or len(shares) != len(options):
        raise DataError("are not one for each option", where=where)
    try:
        values = [float(share) for share in shares]
    except (TypeError, ValueError):
        raise DataError("are no numbers", where=where) from None
    total = math.fsum(values)
    if min(values) < 0 or not math.isfinite(total) or abs(total - 1) > ROUNDED:
        raise DataError(f"sum to {total:g}, not 1", where=where)
    return {option: value / total for option, value in zip(options, values, strict=True)}


def _listed(row: Row, name: str) -> list[Any]:
    value = _plain(require(row, name)[1], row.source, name)
    if not isinstance(value, list | tuple):
        raise DataError(f"{name!r} is no list", where=row.source)
    return list(value)


def _plain(value: Any, where: str, name: str) -> Any:
    """A value, or the one its text stands for: JSON, or what Python prints (also of a defaultdict)."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("defaultdict("):
        text = text[text.find("{") : text.rfind("}") + 1]
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise DataError(f"{name!r} cannot be read: {value[:60]!r}", where=where) from None
