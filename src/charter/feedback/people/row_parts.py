"""What the rows of every file share: where they come from, who spoke, and how much that weighs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from charter.errors import DataError
from charter.label import Label, is_decision

LEAST_WEIGHT = 0.05
"""Weight of the least reliable rater's vote: a number does not silence anybody."""


@dataclass(frozen=True, slots=True)
class Weigher:
    """How much each label counts.

    Attributes:
        trust: of each rater, 0 to 1, already at least :data:`LEAST_WEIGHT`.
        groups: those that a row may name.
    """

    trust: Mapping[str, float]
    groups: Collection[str]

    def reliability(self, label: Label) -> float:
        """Of its rater; a decision is nobody's guess, and counts in full."""
        return 1.0 if is_decision(label) else self.trust[label.rater]

    def of(self, label: Label) -> float:
        """The rater's reliability times the label's own weight."""
        return self.reliability(label) * own_weight(label)

    def mean(self, said: Sequence[tuple[Label, float]]) -> float:
        """Mean of values by weight."""
        total = sum(self.of(label) for label, _ in said)
        return sum(self.of(label) * value for label, value in said) / total


def own_weight(label: Label) -> float:
    """``meta.weight``: what the label counts beside an explicit one, which is 1; implicit feedback has one.

    Raises:
        DataError: it is no number above 0.
    """
    found = _number(label, "weight")
    if found is None:
        return 1.0
    if found <= 0:
        raise DataError(f"meta.weight is {found:g}, wanted a number above 0", where=f"label {label.id}")
    return found


def sure(label: Label, value: float) -> float:
    """``value`` between 0 and 1, as far as it holds: turned round with 1 - ``meta.probability``.

    Raises:
        DataError: the probability is none.
    """
    p = _number(label, "probability")
    if p is None:
        return value
    if not 0 <= p <= 1:
        raise DataError(f"meta.probability is {p:g}, wanted 0 to 1", where=f"label {label.id}")
    return p * value + (1 - p) * (1 - value)


def _number(label: Label, name: str) -> float | None:
    given = label.meta.get(name)
    if given is None:
        return None
    try:
        found = float(given)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(given, bool) or not math.isfinite(found):
        raise DataError(f"meta.{name} is {given!r}, wanted a number", where=f"label {label.id}")
    return found


def large_groups(labels: Sequence[Label], least: int) -> frozenset[str]:
    """Groups with at least ``least`` raters."""
    raters: dict[str, set[str]] = {}
    for label in labels:
        raters.setdefault(label.group, set()).add(label.rater)
    return frozenset(name for name, members in raters.items() if name and len(members) >= least)


def row_of(said: Sequence[Label], weigher: Weigher, name: str) -> dict[str, Any]:
    """The columns that every row has; its weight is scaled when all are there."""
    label = said[0]
    row: dict[str, Any] = {
        "id": "/".join(part for part in (label.principle, label.item, name) if part),
        "item": label.item,
        "prompt": prompt_of(label),
        "principle": label.principle,
        "principle_sha": label.principle_sha,
        "raters": list(dict.fromkeys(one.rater for one in said)),
        "n": len(said),
        "weight": fmean(weigher.of(one) for one in said),
        "reliability": fmean(weigher.reliability(one) for one in said),
        "sources": dict(Counter(one.source for one in said)),
    }
    groups = {one.group for one in said}
    if len(groups) == 1 and label.group in weigher.groups:
        row["group"] = label.group
    return row


def prompt_of(label: Label) -> Any:
    """Text as it is, turns as a row has them."""
    if isinstance(label.prompt, str):
        return label.prompt
    return [{"role": turn.role, "content": turn.content} for turn in label.prompt]


def answer_of(label: Label, side: int) -> Any:
    """One of the answers in the form of the prompt."""
    return in_form_of(label, label.answers[side])


def in_form_of(label: Label, text: str) -> Any:
    """A text as it is after a text, as a turn after turns."""
    return text if isinstance(label.prompt, str) else [{"role": "assistant", "content": text}]
