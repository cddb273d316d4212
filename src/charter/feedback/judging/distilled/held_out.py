"""What the heads are worth on what they never saw, principle by principle, beside "always the longest"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from charter.feedback.judging.distilled.cross_fit import CrossFitted
from charter.feedback.judging.distilled.folds import Folds
from charter.feedback.judging.distilled.rows import Rows
from charter.stats import Interval, percent, wilson
from charter.stats.calibration import calibration
from charter.stats.clustered import effective_counts

BAR = 0.9
"""Share of pairs that a judge must put in order to pass its card."""
PAIRS = 5
"""Fewest pairs that show anything."""

Standing = Literal["promising", "not good enough", "undecided"]
"""``promising``: on held-out pairs it would pass the card's first test. ``not good enough``: it would not, or
"always the longest" does as well. ``undecided``: too little to tell. The card decides, not this."""


@dataclass(frozen=True)
class Share:
    """A share of held-out answers or pairs; those of one prompt count as what they are worth.

    Attributes:
        n: how many.
        right: how many of them are right.
        rate: the mean over prompts.
        interval: of it, 95%.
        worth: independent ones they are worth.
    """

    n: int
    right: int
    rate: float | None
    interval: Interval | None
    worth: float

    @classmethod
    def of(cls, right: Sequence[bool], cluster: Sequence[int]) -> Share:
        """Counts with the clusters they come in."""
        if not right:
            return cls(0, 0, None, None, 0.0)
        by: dict[int, list[float]] = {}
        for one, number in zip(right, cluster, strict=True):
            by.setdefault(number, []).append(float(one))
        k, n = effective_counts(list(by.values()))
        return cls(len(right), sum(right), k / n, wilson(k, n), n)

    def words(self) -> str:
        """``84% of 50 (71% to 92%)``."""
        if self.rate is None or self.interval is None:
            return "none"
        return (
            f"{percent(self.rate)} of {self.n} ({percent(self.interval.lo)} to {percent(self.interval.hi)})"
        )


@dataclass(frozen=True)
class HeldOut:
    """Held-out results under one principle, or under all.

    Attributes:
        pairs: of two answers the better one has the higher probability; a tie is wrong.
        longest: of the same pairs, the better one is the longer one.
        against: of those where the longer one is the worse one.
        labels: verdicts on single answers that are right.
        good, bad: of good and of bad answers alone.
        transferred: answers that were graded by a head without rows of their principle.
        standing: see :data:`Standing`.
        why: of that, in words.
    """

    pairs: Share
    longest: Share
    against: Share
    labels: Share
    good: Share
    bad: Share
    transferred: int
    standing: Standing
    why: str

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        found = asdict(self)
        for one in found.values():
            if isinstance(one, dict) and one.get("interval") is not None:
                one["interval"] = list(one["interval"])
        return found


def held_out(rows: Rows, folds: Folds, fitted: CrossFitted, wanted: Callable[[str, str], bool]) -> HeldOut:
    """Results on rows of which ``wanted(principle, source)`` holds."""
    logits, cluster = fitted.logits_N, folds.cluster
    pairs = [
        (better, worse)
        for better, worse, _, source in rows.pairs
        if wanted(rows.items[better].principle, source)
    ]
    labelled = [
        (item, good) for item, good, _, source in rows.labelled if wanted(rows.items[item].principle, source)
    ]
    of_pair = [cluster[better] for better, _ in pairs]
    right = [bool(logits[better] > logits[worse]) for better, worse in pairs]
    longer = [rows.items[better].length > rows.items[worse].length for better, worse in pairs]
    shorter = [rows.items[better].length < rows.items[worse].length for better, worse in pairs]
    verdicts = [(bool(logits[item] > 0) == good, good, cluster[item]) for item, good in labelled]
    shown = Share.of(right, of_pair), Share.of(longer, of_pair)
    used = {item for item, _ in labelled} | {item for pair in pairs for item in pair}
    standing, why = _standing(*shown)
    return HeldOut(
        *shown,
        _part([(one, number) for one, number, s in zip(right, of_pair, shorter, strict=True) if s]),
        _part([(one, number) for one, _, number in verdicts]),
        _part([(one, number) for one, good, number in verdicts if good]),
        _part([(one, number) for one, good, number in verdicts if not good]),
        sum(not fitted.own_N[item] for item in used),
        standing,
        why,
    )


def calibrated(rows: Rows, fitted: CrossFitted) -> Mapping[str, Mapping[str, float]]:
    """Calibration error and log loss of held-out labels before and after the temperature; empty without any.

    Labels count as they come, while heads and temperature suppose as many good as bad ones: where they are
    not, ``after`` may be the worse. The temperature was fitted on the same labels: one number, so its
    optimism is small, but not none.
    """
    if not rows.labelled:
        return {}
    from numpy import exp, logaddexp

    found = {}
    good = [label for _, label, _, _ in rows.labelled]
    for name, divisor in (("before", 1.0), ("after", fitted.temperature)):
        z = fitted.logits_N[[item for item, *_ in rows.labelled]] / divisor
        stated = [float(one) for one in exp(-logaddexp(0.0, -z))]
        said = calibration([min(max(one, 1e-9), 1 - 1e-9) for one in stated], good)
        found[name] = {"ece": said.ece, "log_loss": said.log_loss, "brier": said.brier}
    return found


def _part(rows: Sequence[tuple[bool, int]]) -> Share:
    return Share.of([right for right, _ in rows], [number for _, number in rows])


def _standing(pairs: Share, longest: Share) -> tuple[Standing, str]:
    if pairs.rate is None or pairs.interval is None or longest.rate is None:
        return "undecided", "no pair is held out"
    if pairs.interval.hi < BAR:
        return "not good enough", f"{pairs.words()} pairs in order, and the card asks for {percent(BAR)}"
    if pairs.n < PAIRS or pairs.interval.lo <= 0.5 or pairs.rate < BAR:
        return "undecided", f"{pairs.words()} pairs in order: too few or too close to tell"
    if pairs.rate <= longest.rate:
        return "not good enough", f"always the longest does as well: {percent(longest.rate)} of the pairs"
    return "promising", f"{pairs.words()} pairs in order, always the longest: {percent(longest.rate)}"
