"""Everything that is measured about one rater. Nothing here blocks anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from charter.feedback.people.heard import Heard, Question, choice, question
from charter.label import Label, is_right
from charter.stats.intervals import square_and_add
from charter.stats.power import Decision, gate_decision
from charter.stats.raters.error_intervals import Errors
from charter.stats.raters.measure import (
    LEAST,
    Measure,
    Quantiles,
    difference_of,
    mean_of,
    quantiles_of,
    rate_of,
)

LEAST_GOLD = 10
LEAST_HALF = 20

Table = Mapping[Question, Sequence[tuple[Label, float]]]
"""The comparable labels of each question, with their numbers."""


@dataclass(frozen=True, slots=True)
class RaterRow:
    """One rater.

    Attributes:
        rater, source, group: who.
        labels: last words, repeats left out.
        skipped: of them, those that say nothing.
        ties, both_bad: of them, of pairs.
        gold: accuracy on items whose answer is known.
        qualified: ``pass``, ``fail`` or ``undecided`` against the bar; undecided below the least number.
        repeats: same answer when asked again.
        first: took the answer shown first.
        longer: took the longer answer.
        longer_than_others: that, less what the others took on the same items.
        followed: agreed with the suggestion shown.
        pull: that, less the same suggestions' agreement with labels that were shown none.
        agreement: with the others, mean over questions.
        late: share of labels that say what most others say, second half less first.
        seconds: time of a label.
        errors: from Dawid-Skene by kind of label, where there are enough raters.
    """

    rater: str
    source: str
    group: str
    labels: int
    skipped: int
    ties: int
    both_bad: int
    gold: Measure
    qualified: Decision
    repeats: Measure
    first: Measure
    longer: Measure
    longer_than_others: Measure
    followed: Measure
    pull: Measure
    agreement: Measure
    late: Measure
    seconds: Quantiles
    errors: Mapping[str, Errors] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        counts = {name: getattr(self, name) for name in ("labels", "skipped", "ties", "both_bad")}
        measures = {name: getattr(self, name).to_json() for name in MEASURES}
        return {
            "rater": self.rater,
            "source": self.source,
            "group": self.group,
            **counts,
            "qualified": self.qualified,
            **measures,
            "seconds": self.seconds.to_json(),
            "dawid_skene": {kind: one.to_json() for kind, one in self.errors.items()},
        }


MEASURES = (
    "gold",
    "repeats",
    "first",
    "longer",
    "longer_than_others",
    "followed",
    "pull",
    "agreement",
    "late",
)


def rater_row(
    rater: str,
    heard: Heard,
    table: Table,
    *,
    bar: float,
    least: int = LEAST,
    level: float = 0.95,
    errors: Mapping[str, Errors] | None = None,
) -> RaterRow:
    """The measures of one rater.

    Args:
        rater: who.
        heard: everybody's labels.
        table: see :data:`Table`.
        bar: gold accuracy asked for.
        least: observations below which nothing is concluded.
        level: of the intervals.
        errors: this rater's, from Dawid-Skene.
    """
    own = [label for label in heard.labels if label.rater == rater]
    tests = [found for label in own if (found := is_right(label)) is not None]
    again = [(a, b) for a, b in heard.repeats if b.rater == rater]
    followed, pull = _suggestions(rater, own, again, table, least, level)
    longer, than_others = _length(rater, own, table, least, level)
    return RaterRow(
        rater=rater,
        source=own[0].source,
        group=next((label.group for label in reversed(own) if label.group), ""),
        labels=len(own),
        skipped=sum(label.outcome in ("skipped", "not_applicable") for label in own),
        ties=sum(label.outcome == "tie" for label in own),
        both_bad=sum(label.outcome == "both_bad" for label in own),
        gold=rate_of(tests, least=LEAST_GOLD, level=level),
        qualified=qualification(tests, bar, level),
        repeats=rate_of([_same(a, b) for a, b in again if _said(a, b)], least=least, level=level),
        first=rate_of(_took_first(own), least=least, level=level),
        longer=longer,
        longer_than_others=than_others,
        followed=followed,
        pull=pull,
        agreement=mean_of(list(_agreements(rater, own, table).values()), least=least, level=level),
        late=_late(rater, own, table, level),
        seconds=quantiles_of([label.seconds for label in own if label.seconds is not None], level),
        errors=errors or {},
    )


def qualification(tests: Sequence[bool], bar: float, level: float = 0.95) -> Decision:
    """Whether gold accuracy is at least ``bar``: undecided on fewer than :data:`LEAST_GOLD` tests."""
    if len(tests) < LEAST_GOLD:
        return "undecided"
    return gate_decision(sum(tests), len(tests), bar, level)


def _said(first: Label, again: Label) -> bool:
    return all(label.outcome not in ("skipped", "not_applicable") for label in (first, again))


def _same(first: Label, again: Label) -> bool:
    if first.outcome != "judged" or again.outcome != "judged" or choice(first) is None:
        return first.outcome == again.outcome and (first.outcome != "judged" or first.value == again.value)
    return choice(first) == choice(again)


def _took_first(own: Sequence[Label]) -> list[bool]:
    return [
        (label.value > 0) == (label.shown[0] == 0)
        for label in own
        if label.kind == "pair" and label.outcome == "judged" and label.shown
    ]


def _took_longer(label: Label, value: float) -> float | None:
    lengths = [len(answer) for answer in label.answers]
    if label.kind != "pair" or value == 0.5 or lengths[0] == lengths[1]:
        return None
    return float((value == 1.0) == (lengths[0] > lengths[1]))


def _length(
    rater: str, own: Sequence[Label], table: Table, least: int, level: float
) -> tuple[Measure, Measure]:
    mine, gaps = [], []
    for label in own:
        value = choice(label)
        took = None if value is None else _took_longer(label, value)
        if took is None:
            continue
        mine.append(bool(took))
        of_others = [
            other
            for one, said in table[question(label)]
            if one.rater != rater and (other := _took_longer(one, said)) is not None
        ]
        if of_others:
            gaps.append(took - fmean(of_others))
    return rate_of(mine, least=least, level=level), difference_of(gaps, least=least, level=level)


def _suggestions(
    rater: str,
    own: Sequence[Label],
    again: Sequence[tuple[Label, Label]],
    table: Table,
    least: int,
    level: float,
) -> tuple[Measure, Measure]:
    """How often the suggestion is what was said, and how much more often than without one.

    Without one: this rater's own repeat of the item where there is one, else the others' labels of it.
    """
    unaided = {first.id: choice(label) for first, label in again if label.suggestion is None}
    followed, pulls = [], []
    for label in own:
        value = choice(label)
        if value is None or label.suggestion is None:
            continue
        wanted = _suggested(label)
        followed.append(value == wanted)
        alone = unaided.get(label.id)
        without = (
            [alone]
            if alone is not None
            else [
                said for one, said in table[question(label)] if one.rater != rater and one.suggestion is None
            ]
        )
        if without:
            pulls.append(float(value == wanted) - fmean(float(said == wanted) for said in without))
    return rate_of(followed, least=least, level=level), difference_of(pulls, least=least, level=level)


def _suggested(label: Label) -> float:
    shown = float(label.suggestion)
    if label.kind == "rating":
        return shown
    return 0.5 if shown == 0 else 1.0 if shown > 0 else 0.0


def _agreements(rater: str, own: Sequence[Label], table: Table) -> dict[str, float]:
    """By label id: share of the other raters of the question who said the same."""
    found = {}
    for label in own:
        value = choice(label)
        if value is None:
            continue
        others = [said for one, said in table[question(label)] if one.rater != rater]
        if others:
            found[label.id] = fmean(float(said == value) for said in others)
    return found


def _with_most(rater: str, label: Label, table: Table) -> float | None:
    """1 where ``label`` says what most others say, shared where several answers lead; None without others."""
    value = choice(label)
    if value is None:
        return None
    counts = Counter(said for one, said in table[question(label)] if one.rater != rater)
    if not counts:
        return None
    leading = [said for said, count in counts.items() if count == max(counts.values())]
    return float(value in leading) / len(leading)


def _late(rater: str, own: Sequence[Label], table: Table, level: float) -> Measure:
    """Is the second half of the labels, in order of time, worse than the first?"""
    ordered = sorted(own, key=lambda label: label.at)  # stable: without times the file's order stays
    values = [found for label in ordered if (found := _with_most(rater, label, table)) is not None]
    middle = len(values) // 2
    early = mean_of(values[:middle], level=level)
    late = mean_of(values[middle:], level=level)
    if early.value is None or late.value is None or early.interval is None or late.interval is None:
        return Measure(None, None, len(values), 2 * LEAST_HALF)
    interval = square_and_add(early.value, early.interval, late.value, late.interval)
    return Measure(late.value - early.value, interval, len(values), 2 * LEAST_HALF)
