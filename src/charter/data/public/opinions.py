"""Opinion surveys: what share of a group chose each option.

OpinionQA (2303.17548), GlobalOpinionQA (2306.16388).
Shares are no person's label: they become rows of a survey (:mod:`charter.data.survey`), which
``charter pluralism`` and ``charter gpo`` read. A row is one group (``group``, ``distribution``), or all
(``selections``: ``{group: shares}``, also as the text Python prints).
"""

from __future__ import annotations

import ast
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charter.data.columns import require
from charter.data.public.parts import filled, number
from charter.data.public.schema import has
from charter.data.rows import Row
from charter.data.survey import SurveyBuilder
from charter.errors import DataError

ROUNDED = 0.02
"""How far from 1 printed shares may sum; they are divided by their sum."""

_SHARES = ("distribution", "responses", "shares")


def fits_opinions(values: Mapping[str, Any]) -> bool:
    """Whether a row is a question of a survey with shares."""
    one = "group" in values and any(name in values for name in _SHARES)
    return has(values, "question", "options") and (one or "selections" in values)


def survey_rows(rows: Iterable[Row]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Rows that :func:`charter.data.survey.read_survey` reads, and what was left out: where, and why.

    A question that comes again with other options, and a group that answers a question again, are left out:
    the first stands.
    """
    made = SurveyBuilder()
    kept: list[dict[str, Any]] = []
    left_out: list[tuple[str, str]] = []
    for row in rows:
        try:
            found, reasons = read_opinions(row)
        except DataError as error:
            left_out.append((error.where or row.source, error.what))
            continue
        left_out += [(row.source, why) for why in reasons]
        refused: Counter[str] = Counter()
        for values in found:
            try:
                made.add(Row(values, row.source))
            except DataError as error:
                # Without the group's name, so that the same reason is counted as one.
                refused[error.what.replace(repr(values["group"]), "a group")] += 1
            else:
                kept.append(values)
        left_out += [(row.source, why) for why in refused.elements()]
    return kept, left_out


def read_opinions(row: Row) -> tuple[list[dict[str, Any]], list[str]]:
    """What a row says of each group, as rows of a survey; and what was left out, in words.

    Raises:
        DataError: no question, options or shares that can be read.
    """
    question = filled(row, "question").strip()
    options = [str(option).strip() for option in _listed(row, "options")]
    if len(options) < 2 or len(set(options)) < len(options):
        raise DataError(f"'options' are not two or more different ones: {options}", where=row.source)
    ordered = str(row.values.get("ordered", "")).lower() in ("true", "1")
    made: list[dict[str, Any]] = []
    left_out: list[str] = []
    for group, shares in _groups(row):
        try:
            found = _shares_of(options, shares, f"{row.source}: {group}")
        except DataError as error:
            left_out.append(f"a group whose shares {error.what}")
            continue
        values = {"question": question, "options": options, "ordered": ordered, "group": group.strip()}
        made.append({**values, "shares": found, **_respondents(row)})
    return made, left_out


def _groups(row: Row) -> list[tuple[str, Any]]:
    if "selections" in row.values:
        found = _plain(row.values["selections"], row.source, "selections")
        if not isinstance(found, Mapping) or not found:
            raise DataError("'selections' is not {group: shares}", where=row.source)
        return [(str(group), shares) for group, shares in found.items()]
    name, value = require(row, *_SHARES)
    return [(filled(row, "group"), _plain(value, row.source, name))]


def _respondents(row: Row) -> dict[str, float]:
    """How many people answered, where a row of one group says it: small groups' shares hold chance."""
    if "selections" in row.values or row.values.get("respondents") is None:
        return {}
    return {"respondents": number(row, "respondents", low=0.0)}


def _shares_of(options: Sequence[str], shares: Any, where: str) -> list[float]:
    if isinstance(shares, Mapping):
        by_option = {str(option).strip(): share for option, share in shares.items()}
        if set(by_option) != set(options):
            raise DataError("do not name the options", where=where)
        shares = [by_option[option] for option in options]
    if isinstance(shares, str) or not isinstance(shares, Sequence) or len(shares) != len(options):
        raise DataError("are not one for each option", where=where)
    try:
        values = [float(share) for share in shares]
    except (TypeError, ValueError):
        raise DataError("are no numbers", where=where) from None
    total = math.fsum(values)
    if min(values) < 0 or not math.isfinite(total) or abs(total - 1) > ROUNDED:
        raise DataError(f"sum to {total:g}, not 1", where=where)
    return [value / total for value in values]


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
