"""What stands out about a rater, in words for the people who run the labelling. Nobody is blocked by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from charter.feedback.people.rater_row import RaterRow
from charter.stats.raters.collusion import Twins
from charter.stats.raters.influence import Influence
from charter.stats.raters.measure import Measure
from charter.stats.words import p_words, percent, points

HASTE = 5.0
"""So many times faster than the median rater is hasty."""

LEAST_TIMES = 10


def flags_of(row: RaterRow, shown: RaterRow, *, bar: float, typical_seconds: float | None) -> Iterator[str]:
    """One sentence for each thing that stands out.

    Args:
        row: with intervals at a level that accounts for the number of raters: with many of them, something
            stands out about somebody by chance.
        shown: the same rater with the intervals that are shown; they decide the qualification.
        bar: gold accuracy asked for.
        typical_seconds: median over raters of their median time.
    """
    if shown.qualified == "fail":
        yield f"gold accuracy {_rate(shown.gold)} is below {percent(bar)}"
    if row.repeats.below(0.75):
        yield f"says the same again in only {_rate(row.repeats)} of repeats"
    yield from _leanings(row)
    if row.pull.above(0.0):
        yield f"follows suggestions: {_gap(row.pull)} over what is said without them"
    if row.late.below(0.0):
        yield f"agrees less with others in the second half: {_gap(row.late)}"
    for kind, errors in row.errors.items():
        guessing = 1.0 / len(errors.classes)
        if errors.accuracy.below(guessing + 0.1):
            yield f"{kind} labels are hardly better than guessing: {_rate(errors.accuracy)} are right"
    median, n = row.seconds.median, row.seconds.n
    if typical_seconds and median is not None and n >= LEAST_TIMES and median < typical_seconds / HASTE:
        yield f"takes {median:.3g} s for a label, others {typical_seconds:.3g} s"


def _leanings(row: RaterRow) -> Iterator[str]:
    """Towards a side, or a length."""
    if row.first.above(0.5):
        yield f"prefers the answer shown first: {_rate(row.first)}"
    if row.first.below(0.5):
        yield f"prefers the answer shown last: {_rate(row.first)}"
    if row.first.enough and row.first.value in (0.0, 1.0):
        yield f"took the same side in every one of {row.first.n} pairs"
    if row.longer_than_others.above(0.0):
        yield f"takes the longer answer more often than others do: {_gap(row.longer_than_others)}"
    if row.longer_than_others.below(0.0):
        yield f"takes the shorter answer more often than others do: {_gap(row.longer_than_others)}"


def twin_flags(twins: Sequence[Twins]) -> Iterator[tuple[str, str]]:
    """Of each rater of a pair that is too alike: who, and the sentence."""
    for one in twins:
        said = f"{percent(one.observed)} of {one.shared} shared items, {percent(one.expected)} expected"
        for who, other in ((one.first, one.second), (one.second, one.first)):
            words = f"agrees with {other} more than their accuracy explains: {said}, p {p_words(one.p)}"
            yield str(who), words


def loud_flags(influence: Sequence[Influence]) -> Iterator[tuple[str, str]]:
    """Of each loud rater: who, and which numbers move."""
    for one in influence:
        for name, change in one.changes.items():
            if name in one.loud:
                usual = f"usual for {one.labels} labels: {one.usual[name]:.3f}"
                yield str(one.rater), f"loud: without them {name} changes by {change:+.3f} ({usual})"
        for name in one.lost:
            yield str(one.rater), f"{name} rests on this rater alone"


def _rate(measure: Measure) -> str:
    assert measure.value is not None and measure.interval is not None
    lo, hi = measure.interval
    return f"{percent(measure.value)} [{percent(lo)}, {percent(hi)}] of {measure.n}"


def _gap(measure: Measure) -> str:
    assert measure.value is not None and measure.interval is not None
    lo, hi = measure.interval
    return f"{points(measure.value)} points [{points(lo)}, {points(hi)}]"
