"""Measures that would show a model that games adherence by saying almost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.reporting import charts
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source

_TERMS = {"kl": "kl", "nll": "nll", "perplexity": "perplexity"}
_DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Health:
    """A measure of the model beside adherence; ``flag`` None where no limit applies."""

    measure: str
    label: str
    unit: str
    before: float | None
    after: float | None
    limit: str
    limit_number: float | None
    flag: bool | None


def read(source: Source) -> tuple[Health, ...] | None:
    """The ``health`` of a report."""
    return tuple(_health(item) for item in source.report.children("health")) or None


def _health(node: Node) -> Health:
    limit = node.value.get("limit")
    return Health(
        measure=node.text("measure"),
        label=node.text("label") or node.text("measure"),
        unit=node.text("unit"),
        before=node.number("before"),
        after=node.number("after"),
        limit=node.text("limit") if isinstance(limit, str) else "",
        limit_number=None if isinstance(limit, str) else node.number("limit"),
        flag=node.flag("flag"),
    )


def digits(measure: Health) -> tuple[str, str]:
    """Before and after with the same digits; a measure taken on one model only has a dash for the other."""
    known = [value for value in (measure.before, measure.after) if value is not None]
    like = max(known, key=abs, default=0.0)
    before, after = (
        "not measured" if value is None else charts.number(value, like=like)
        for value in (measure.before, measure.after)
    )
    return (_DASH if measure.before is None and known else before), after


def limit_of(measure: Health) -> str:
    """The limit as it is written; a dash where there is none."""
    if measure.limit:
        return measure.limit
    return _DASH if measure.limit_number is None else charts.number(measure.limit_number)


def _shown(found: tuple[Health, ...], setting: Setting) -> dict[str, Any]:
    return {
        "digits": digits,
        "limit_of": limit_of,
        "term_of": _TERMS,
        "paired": any(one.before is not None for one in found),
    }


SECTION = Section("health", "Is it still the same model?", read, _shown)
