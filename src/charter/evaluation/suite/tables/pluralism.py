"""Steerable, distributional and Overton pluralism (Sorensen et al. 2024, 2402.05070), the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charter.evaluation.suite.result import TestResult

_KINDS = ("steer", "distribution", "overton")


@dataclass(frozen=True, slots=True)
class PluralismRow:
    """One group of a ``steer`` test, or one ``distribution`` or ``overton`` test.

    Attributes:
        kind: of the test.
        principle: id of the principle.
        test: id of the test.
        group: whose row it is; of ``overton`` the viewpoint left out most often; "" = nobody's in particular.
        measure: name of ``value``.
        value: steer: adherence when the group is named minus when not, higher is better; overton: share of
            viewpoints covered, higher is better; distribution: Jensen-Shannon distance, lower is better.
            None = not measured.
        lo: lower end of its interval.
        hi: upper end.
        why: in words; of a row without a value, the reason.
        by_chance: of ``distribution``: ``value`` of as many answers that follow the target; None = not known.
        wasserstein: of ``distribution`` with ordered options: 1-Wasserstein distance, a share of the scale.
        wasserstein_lo: lower end of its interval.
        wasserstein_hi: upper end.
    """

    kind: str
    principle: str
    test: str
    group: str
    measure: str
    value: float | None
    lo: float | None
    hi: float | None
    why: str
    by_chance: float | None = None
    wasserstein: float | None = None
    wasserstein_lo: float | None = None
    wasserstein_hi: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def pluralism(results: Sequence[TestResult]) -> tuple[PluralismRow, ...]:
    """Rows by kind, the worst first, those without a value last."""
    rows: list[PluralismRow] = []
    for kind in _KINDS:
        mine = [row for one in results if one.kind == kind for row in _rows(one)]
        worse = -1.0 if kind == "distribution" else 1.0
        rows += sorted(mine, key=lambda row: (row.value is None, worse * (row.value or 0.0)))
    return tuple(rows)


def _rows(one: TestResult) -> list[PluralismRow]:
    def row(
        group: str, measure: str, value: float | None, lo: float | None, hi: float | None, why: str
    ) -> PluralismRow:
        return PluralismRow(one.kind, one.principle, one.test, group, measure, value, lo, hi, why)

    measure = {"steer": "difference", "distribution": "js_distance", "overton": "coverage"}[one.kind]
    if not one.measured:
        return [row("", measure, None, None, None, one.why)]
    if one.kind == "steer":
        return [
            row(each["group"], measure, each["difference"], each["lo"], each["hi"], _named(each))
            for each in one.details["groups"]
        ]
    if one.kind == "distribution":
        return [_spread(one, measure)]
    return [row(one.details["worst"], measure, one.score, one.details["lo"], one.details["hi"], one.why)]


def _spread(one: TestResult, measure: str) -> PluralismRow:
    """A ``distribution`` test."""
    found = one.details
    lo, hi = found["js_interval"]
    along = found["wasserstein_interval"] or (None, None)
    return PluralismRow(
        one.kind,
        one.principle,
        one.test,
        found["group"],
        measure,
        found["js_distance"],
        lo,
        hi,
        one.why,
        found["js_by_chance"],
        found["wasserstein"],
        *along,
    )


def _named(each: dict[str, Any]) -> str:
    return f"{each['conditioned']:.0%} where the group is named, {each['unconditioned']:.0%} where not"
