"""A rate that a fallible judge measured, corrected for the judge's errors, with their uncertainty in it.

A judge that passes good answers with probability ``q1`` (sensitivity) and fails bad ones with
probability ``q0`` (specificity) passes the share ``p = theta q1 + (1 - theta)(1 - q0)`` of answers of
which the share ``theta`` is good. Rogan and Gladen (American Journal of Epidemiology 107, 1978) solve
for ``theta``. Here its interval holds every ``theta`` that a score test of that equation does not
reject, where ``q1`` and ``q0`` are as uncertain as the labels behind them are few. With a faultless judge
and endless labels it is Wilson's interval, and it is never narrower than that: no judge can tell more than
a faultless one. ``benchmarks/judge_coverage.py`` measures how often it covers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from charter.stats.clustered import effective_counts
from charter.stats.intervals import Interval, square_and_add, wilson, z_of

Status = Literal["identified", "not_identified", "contradicted", "no_data"]
"""``identified``: there is an estimate. ``not_identified``: the judge is not clearly better than chance.
``contradicted``: no true rate fits both the answers and the labels, so the labels do not describe the
judge on these answers. ``no_data``: nothing was judged, or a kind of label is missing."""

CONTRADICTED_AT = 0.99
"""Confidence at which labels that fit no true rate are disbelieved."""

_STEPS = 12


@dataclass(frozen=True, slots=True)
class JudgeErrors:
    """How a judge did on answers whose true label is known.

    Answers that share prompts count as what they are worth, so that counts may be fractions.

    Attributes:
        good: answers that are good.
        good_passed: those of them that the judge passed.
        bad: answers that are bad.
        bad_passed: those of them that the judge passed, in error.
        labelled: how many answers were labelled, whatever they are worth; None = :attr:`n`.

    Raises:
        ValueError: more passed than there are, or a negative count.
    """

    good: float
    good_passed: float
    bad: float
    bad_passed: float
    labelled: int | None = None

    @classmethod
    def of(cls, good: Sequence[Sequence[float]], bad: Sequence[Sequence[float]]) -> JudgeErrors:
        """From the verdicts on good and on bad answers, 0 or 1, of each prompt that has some.

        Source: see :func:`charter.stats.clustered.effective_counts`.
        """
        (right, n_good), (slipped, n_bad) = (effective_counts(part) for part in (good, bad))
        return cls(n_good, right, n_bad, slipped, sum(map(len, (*good, *bad))))

    def __post_init__(self) -> None:
        if not (0 <= self.good_passed <= self.good and 0 <= self.bad_passed <= self.bad):
            raise ValueError(f"impossible counts: {self!r}")

    @property
    def n(self) -> float:
        """Independent labelled answers."""
        return self.good + self.bad

    @property
    def labels(self) -> int:
        """Labelled answers, whatever they are worth."""
        return round(self.n) if self.labelled is None else self.labelled

    @property
    def sensitivity(self) -> float | None:
        """Share of good answers passed (``q1``); None without good answers."""
        return self.good_passed / self.good if self.good else None

    @property
    def specificity(self) -> float | None:
        """Share of bad answers failed (``q0``); None without bad answers."""
        return 1.0 - self.bad_passed / self.bad if self.bad else None

    def sensitivity_interval(self, level: float = 0.95) -> Interval:
        """Wilson interval of :attr:`sensitivity`."""
        return wilson(self.good_passed, self.good, level)

    def specificity_interval(self, level: float = 0.95) -> Interval:
        """Wilson interval of :attr:`specificity`."""
        return wilson(self.bad - self.bad_passed, self.bad, level)

    def youden(self, level: float = 0.95) -> tuple[float, Interval] | None:
        """``q1 + q0 - 1`` with Newcombe's interval: 0 is a judge that says nothing; None without labels.

        Source: Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10.
        """
        if not (self.good and self.bad):
            return None
        passed, slipped = self.good_passed / self.good, self.bad_passed / self.bad
        interval = square_and_add(
            slipped,
            wilson(self.bad_passed, self.bad, level),
            passed,
            wilson(self.good_passed, self.good, level),
        )
        return passed - slipped, interval


@dataclass(frozen=True, slots=True)
class JudgeRate:
    """A rate as judged, and as it is after correction.

    Attributes:
        raw: share of answers the judge passed; None when none was judged.
        raw_interval: Wilson's, which knows nothing of the judge's errors.
        estimate: the corrected rate, in [0, 1]; None unless ``status`` is ``identified``.
        interval: of the corrected rate; all of [0, 1] where it says nothing.
        status: see :data:`Status`.
        why: the status in words.
    """

    raw: float | None
    raw_interval: Interval
    estimate: float | None
    interval: Interval
    status: Status
    why: str


def corrected_rate(passed: float, n: float, errors: JudgeErrors, level: float = 0.95) -> JudgeRate:
    """The true rate behind ``passed`` of ``n`` answers that a judge with ``errors`` passed.

    Counts may be fractions: :func:`charter.stats.clustered.effective_counts` makes them from answers that
    share prompts. The labels must come from answers like those judged, and be independent of them.

    Args:
        passed: answers the judge passed.
        n: answers judged.
        errors: the judge on labelled answers.
        level: confidence level.

    Raises:
        ValueError: not ``0 <= passed <= n``, or a level outside (0, 1).
    """
    z = z_of(level)
    if not 0 <= passed <= n:
        raise ValueError(f"{passed!r} of {n!r} answers passed")
    raw = passed / n if n else None
    raw_interval = wilson(passed, n, level)
    if raw is None or not (errors.good and errors.bad):
        kind = "judged answers" if raw is None else "good labels" if not errors.good else "bad labels"
        return _unknown(raw, raw_interval, "no_data", f"there are no {kind}")
    found = errors.youden(level)
    assert found is not None
    youden, spread = found
    if spread.lo <= 0.0:
        return _unknown(
            raw,
            raw_interval,
            "not_identified",
            f"the judge is not clearly better than chance: sensitivity + specificity - 1 is {youden:.2f}, "
            f"and as low as {spread.lo:.2f} fits its {errors.labels} labels",
        )
    highest, lowest = score_z(1.0, passed, n, errors), score_z(0.0, passed, n, errors)
    if max(highest, -lowest) > z_of(CONTRADICTED_AT):
        return _unknown(raw, raw_interval, "contradicted", _contradiction(highest > 0.0))
    slipped = errors.bad_passed / errors.bad
    estimate = min(1.0, max(0.0, (raw - slipped) / youden))
    lo = 0.0 if lowest <= z else _outermost(z, 0.0, estimate, passed, n, errors)
    hi = 1.0 if highest >= -z else _outermost(-z, 1.0, estimate, passed, n, errors)
    # Where more passed than good answers do (or fewer than bad ones), the test leaves next to nothing.
    floor = wilson(estimate * n, n, level)
    interval = Interval(min(lo, floor.lo), max(hi, floor.hi))
    return JudgeRate(raw, raw_interval, estimate, interval, "identified", "")


def score_z(theta: float, passed: float, n: float, errors: JudgeErrors) -> float:
    """Signed score statistic of "the true rate is ``theta``": positive when the data say more.

    The three rates are fitted under ``p - theta q1 - (1 - theta)(1 - q0) = 0`` by maximum likelihood
    (one multiplier, found by root search); the square of the statistic is the multiplier times the
    misfit of the raw rates. It falls as ``theta`` rises, unless there are next to no labels.
    """
    from scipy.optimize import brentq

    parts = (
        (1.0, passed / n, n),
        (-theta, errors.good_passed / errors.good, errors.good),
        (theta - 1.0, errors.bad_passed / errors.bad, errors.bad),
    )
    misfit = math.fsum(weight * rate for weight, rate, _ in parts)
    if misfit == 0.0:
        return 0.0

    def left(multiplier: float) -> float:
        return math.fsum(weight * _fitted(multiplier * weight, rate, size) for weight, rate, size in parts)

    far = math.copysign(n + errors.n, misfit)
    while left(far) * misfit > 0.0:
        far *= 4.0
    multiplier = brentq(left, 0.0, far, xtol=1e-9, rtol=1e-9)
    return math.copysign(math.sqrt(max(0.0, multiplier * misfit)), misfit)


def _fitted(pull: float, rate: float, size: float) -> float:
    """The rate in [0, 1] that solves ``pull * r (1 - r) = size * (rate - r)``."""
    both = pull + size
    root = math.sqrt(max(0.0, both * both - 4.0 * pull * size * rate))
    # Two forms of one root; each is used where it subtracts nothing from nearly itself.
    if both >= 0.0:
        return min(1.0, 2.0 * size * rate / (both + root)) if both + root > 0.0 else rate
    return min(1.0, (both - root) / (2.0 * pull))


def _outermost(target: float, far: float, near: float, passed: float, n: float, errors: JudgeErrors) -> float:
    """Where the statistic first reaches ``target`` on the way from ``far``, where it is beyond, to ``near``.

    It falls all the way but with a handful of labels, so it is looked at on a few points first.
    """
    from scipy.optimize import brentq

    sign = 1.0 if far < near else -1.0

    def beyond(theta: float) -> float:
        return sign * (score_z(theta, passed, n, errors) - target)

    before = far
    for step in range(1, _STEPS + 1):
        here = far + (near - far) * step / _STEPS
        if beyond(here) <= 0.0:
            return float(brentq(beyond, before, here, xtol=1e-7, rtol=1e-7))
        before = here
    return near


def _contradiction(too_many: bool) -> str:
    seen = (
        "passes more answers than it passes good ones"
        if too_many
        else "passes fewer answers than it passes bad ones"
    )
    return f"the judge {seen}: the labels do not describe it on these answers; label some of them"


def _unknown(raw: float | None, raw_interval: Interval, status: Status, why: str) -> JudgeRate:
    return JudgeRate(raw, raw_interval, None, Interval(0.0, 1.0), status, why)
