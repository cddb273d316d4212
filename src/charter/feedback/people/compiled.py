"""What rows are made of labels, and what became of every label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from charter.feedback.people.heard import decided_question
from charter.label import SOURCES, Label, Source, is_decision
from charter.stats.raters.groups import LEAST_RATERS

Soft = Literal["votes", "posterior"]
Ties = Literal["half", "drop"]
BothBad = Literal["drop", "tie", "unpaired"]
FileKind = Literal["preference", "ranked", "unpaired", "rated", "attributes", "sft"]


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What is made of the labels.

    Attributes:
        soft: ``votes``: share of the votes, each weighing its rater's reliability and its own weight, and
            the row weighs their mean; ``posterior``: Dawid-Skene's probability, which has the reliability in
            it, so that the row weighs what its labels weigh themselves.
        ties: ``half`` a vote to each answer, or ``drop``.
        both_bad: ``drop`` the vote; count it as a ``tie``; or ``unpaired``: where most raters say so, two
            undesirable answers and no pair.
        sources: whose labels count.
        gold: keep items that test the raters.
        by_group: a row for each group of raters, with a column ``group``.
        least_group: raters of a group below which no row is its own or names it.
    """

    soft: Soft = "votes"
    ties: Ties = "half"
    both_bad: BothBad = "drop"
    sources: tuple[Source, ...] = SOURCES
    gold: bool = False
    by_group: bool = False
    least_group: int = LEAST_RATERS


@dataclass
class Compiled:
    """Rows by kind of file, and every label that is in none of them.

    Attributes:
        rows: by kind, each a format of its own (``charter.data.formats``).
        dropped: labels that taught nothing, by reason.
        used: labels behind the rows. Rankings count once for each two answers; rows of another file of the
            same labels (``ranked``, ``sft``) count nothing.
        replaced: how many labels each decision took the place of.
        decided: decisions behind the rows.
        marked: marks of places (``spans``) that stand beside the rows of their answers.
        without_scale: ratings whose scale nobody declared: scores, not verdicts.
        unknown: raters without a reliability, who count as the mean of those that have one.
    """

    rows: dict[FileKind, list[dict[str, Any]]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    used: int = 0
    replaced: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    decided: int = 0
    marked: int = 0
    without_scale: int = 0
    unknown: tuple[str, ...] = ()

    def add(self, kind: FileKind, row: dict[str, Any], labels: int) -> None:
        """One row that ``labels`` labels are behind."""
        self.rows.setdefault(kind, []).append(row)
        self.used += labels

    def decision(self, said: Sequence[Label]) -> dict[str, Any]:
        """The columns that say of a row that somebody decided it, and over how many labels; counts it."""
        decisions = [label for label in said if is_decision(label)]
        self.decided += len(decisions)
        if not decisions:
            return {}
        return {
            "adjudicated": True,
            "replaced": sum(self.replaced[decided_question(one)] for one in decisions),
        }
