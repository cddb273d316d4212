"""How the labelling goes: coverage, agreement, and each rater's quality with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from charter.annotation.rows import Snapshot, by_item
from charter.annotation.tables import Rater
from charter.label import Label, is_right
from charter.stats.agreement import Agreement, Metric, Rating, krippendorff_alpha
from charter.stats.intervals import Interval, wilson

RESAMPLES = 400
_CODES = {"tie": 0.0, "both_bad": 9.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its interval; all of [0, 1] where nothing was counted."""

    k: int
    n: int

    @property
    def share(self) -> float | None:
        """None where nothing was counted."""
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> Interval:
        """Wilson's, 95 %."""
        return wilson(self.k, self.n)


@dataclass(frozen=True, slots=True)
class RaterStats:
    """One rater's work.

    Attributes:
        labels: without skips, gold and repeats included.
        gold: right among the tests.
        repeats: the same word said again when the sides were swapped.
        first: share of pairs where the answer shown first won; 0.5 without position bias.
        longer: share of pairs where the longer answer won.
        seconds: median time of a label; None = not known.
    """

    labels: int
    skipped: int
    gold: Rate
    repeats: Rate
    first: Rate
    longer: Rate
    seconds: float | None

    @property
    def one_sided(self) -> bool:
        """Whether one side wins so often that chance does not explain it."""
        ends = self.first.interval
        return self.first.n >= 10 and (ends.lo > 0.65 or ends.hi < 0.35)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Coverage of a stratum, over its ordinary items.

    Attributes:
        labels: that count towards the overlap.
        wanted: the sum of overlaps.
        done: items with all labels they want.
        skipped: skips of its items.
    """

    name: str
    items: int
    done: int
    labels: int
    wanted: int
    skipped: int


def rater_stats(labels: Sequence[Label]) -> RaterStats:
    """Of the labels of one rater."""
    spoken = [label for label in labels if label.outcome != "skipped"]
    judged = [label for label in spoken if label.kind == "pair" and label.outcome == "judged"]
    right = [found for label in spoken if (found := is_right(label)) is not None]
    times = [label.seconds for label in spoken if label.seconds is not None]
    lengths = [label for label in judged if len(label.answers[0]) != len(label.answers[1])]
    return RaterStats(
        labels=len(spoken),
        skipped=len(labels) - len(spoken),
        gold=Rate(sum(right), len(right)),
        repeats=_consistency(spoken),
        first=Rate(
            sum(_won(label) == label.shown[0] for label in judged if label.shown),
            sum(bool(label.shown) for label in judged),
        ),
        longer=Rate(sum(_won(label) == _longer(label) for label in lengths), len(lengths)),
        seconds=median(times) if times else None,
    )


def coverage(now: Snapshot) -> list[Stratum]:
    """Every stratum, the least covered first."""
    spoken = by_item(now.labels)
    skips: dict[str, int] = {}
    for label in now.labels:
        if label.outcome == "skipped":
            skips[label.item] = skips.get(label.item, 0) + 1
    groups: dict[str, list[str]] = {}
    for item in now.items.values():
        if not item.is_gold:
            groups.setdefault(item.stratum, []).append(item.id)
    found = []
    for name, ids in groups.items():
        had = {id: len(spoken.get(id, ())) for id in ids}
        wanted = {id: now.items[id].overlap for id in ids}
        found.append(
            Stratum(
                name,
                len(ids),
                sum(had[id] >= wanted[id] for id in ids),
                sum(min(had[id], wanted[id]) for id in ids),
                sum(wanted.values()),
                sum(skips.get(id, 0) for id in ids),
            )
        )
    return sorted(found, key=lambda one: (one.labels / one.wanted, one.name))


def agreement(labels: Iterable[Label]) -> dict[tuple[str, str], Agreement]:
    """Krippendorff's alpha by principle and mode; edits and marks have none.

    Pairs are nominal (first, second, tie, both bad), ratings ordinal, and a ranking is its pairs.
    Gold and repeats are left out: they test the rater, not the question.
    """
    parts: dict[tuple[str, str], list[Rating]] = {}
    for label in labels:
        if label.gold is not None or label.meta.get("repeat"):
            continue
        parts.setdefault((label.principle, label.kind), []).extend(_ratings(label))
    found = {}
    for key, ratings in sorted(parts.items()):
        metric: Metric = "ordinal" if key[1] == "rating" else "nominal"
        if key[1] in ("pair", "rating", "ranking"):
            found[key] = krippendorff_alpha(ratings, metric, resamples=RESAMPLES)
    return found


def group_sizes(
    raters: Iterable[Rater], labels: Iterable[Label], smallest: int
) -> dict[str, tuple[int, int]]:
    """Raters and labels by group; groups of fewer raters are put together as "fewer than N"."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[label.rater] = counts.get(label.rater, 0) + 1
    cells: dict[str, tuple[int, int]] = {}
    for rater in raters:
        if said := counts.get(rater.pseudonym):
            n, k = cells.get(rater.group or "not said", (0, 0))
            cells[rater.group or "not said"] = (n + 1, k + said)
    small = [name for name, (n, _) in cells.items() if n < smallest]
    shown = {name: cell for name, cell in cells.items() if name not in small}
    # One small group beside large ones would be told by subtraction: it is not counted at all then.
    if len(small) > 1:
        shown[f"groups of fewer than {smallest}"] = (
            sum(cells[name][0] for name in small),
            sum(cells[name][1] for name in small),
        )
    return shown


def by_rater(now: Snapshot) -> dict[str, list[Label]]:
    """Labels of every rater who is in the campaign, also of those who said nothing yet."""
    found: Mapping[str, list[Label]] = {name: [] for name in now.raters}
    for label in now.labels:
        found[label.rater].append(label)
    return dict(found)


def _consistency(labels: Sequence[Label]) -> Rate:
    earlier = {label.id: label for label in labels}
    pairs = [(earlier[one.repeat_of], one) for one in labels if one.repeat_of in earlier]
    return Rate(sum(_side(a) == _side(b) for a, b in pairs), len(pairs))


def _side(label: Label) -> object:
    """What was said, without how strongly."""
    if label.outcome == "judged" and label.kind == "pair":
        return label.value > 0
    return (label.outcome, tuple(label.value) if isinstance(label.value, list) else label.value)


def _won(label: Label) -> int:
    return 0 if label.value > 0 else 1


def _longer(label: Label) -> int:
    return 0 if len(label.answers[0]) > len(label.answers[1]) else 1


def _ratings(label: Label) -> list[Rating]:
    if label.outcome in ("skipped", "not_applicable"):
        return []
    if label.kind == "rating":
        return [Rating(label.rater, label.item, float(label.value))]
    if label.kind == "pair":
        value = math.copysign(1.0, label.value) if label.outcome == "judged" else _CODES[label.outcome]
        return [Rating(label.rater, label.item, value)]
    if label.kind == "ranking":
        ranks = label.value if label.outcome == "judged" else [1] * len(label.answers)
        code = _CODES.get(label.outcome)
        return [
            Rating(
                label.rater,
                (label.item, i, j),
                code if code is not None else float((ranks[j] > ranks[i]) - (ranks[j] < ranks[i])),
            )
            for i in range(len(ranks))
            for j in range(i)
        ]
    return []
