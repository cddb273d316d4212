"""Rates and changes that a fallible judge measured, corrected for its errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from charter.evaluation.rates.basis import Basis
from charter.evaluation.rates.change import Change
from charter.evaluation.rates.side_verdicts import SideVerdicts, side_verdicts
from charter.stats.clustered import effective_counts
from charter.stats.intervals import Interval, square_and_add
from charter.stats.judge_rate import JudgeErrors, Status, corrected_rate
from charter.stats.prediction_powered import prediction_powered_rate

__all__ = [
    "Corrected",
    "CorrectedChange",
    "SideVerdicts",
    "correct",
    "correct_change",
    "errors_for",
    "side_verdicts",
]

Method = Literal["rogan_gladen", "prediction_powered"]
"""``rogan_gladen``: by sensitivity and specificity on labelled answers like these. ``prediction_powered``: by
labels of a random part of these very answers."""

ALIKE = "the judge errs alike on both models' answers"
"""What the change of a corrected rate rests on, where only one set of labels calibrates both sides."""

DRAWN = "the labelled answers were drawn at random from each model's, as was said of them"
"""What prediction-powered inference rests on."""

AS_CARD = "the judge errs on these answers as on those that its card rests on"
AS_DRAWN = "the judge errs on the rest of these answers as on those that were drawn at random and labelled"
AS_LABELLED = (
    "the judge errs on the rest of these answers as on those that people labelled, of which nothing says "
    "that they were drawn at random"
)
"""What a correction by errors rests on, by where the errors come from."""

_LEVELS = 14


@dataclass(frozen=True, slots=True)
class Corrected:
    """A rate after correction.

    Attributes:
        estimate: None where nothing can be said; then the interval is all of [0, 1].
        lo: lower end of the interval, which carries the answers' and the labels' luck.
        hi: upper end.
        method: see :data:`Method`.
        status: see :data:`charter.stats.judge_rate.Status`.
        why: why there is no estimate.
        labels: labels behind the correction.
        passed: answers passed, of as many independent answers as these are worth.
        n: independent answers.
        assumes: what the correction rests on.
    """

    estimate: float | None
    lo: float
    hi: float
    method: Method
    status: Status
    why: str
    labels: int
    passed: float
    n: float
    assumes: str

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "rate": self.estimate,
            "lo": self.lo,
            "hi": self.hi,
            "method": self.method,
            "status": self.status,
            "why": self.why,
            "labels": self.labels,
            "assumes": self.assumes,
        }


@dataclass(frozen=True, slots=True)
class CorrectedChange:
    """A change of corrected rates.

    Attributes:
        diff: after minus before.
        lo: lower end of its interval.
        hi: upper end.
        p: of "the true rate did not change", under ``assumes``.
        assumes: what this rests on.
        method: see :data:`Method`.
    """

    diff: float
    lo: float
    hi: float
    p: float
    assumes: str
    method: Method

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def errors_for(side: SideVerdicts, basis: Basis) -> JudgeErrors | None:
    """Errors that correct this side; None where nothing fit for it is known."""
    found = _errors(side, basis)
    return None if found is None else found[0]


def _errors(side: SideVerdicts, basis: Basis) -> tuple[JudgeErrors, str] | None:
    """The judge's errors, and what using them here supposes.

    Labels of these very answers come first where they were drawn at random. Where nothing says so, the card
    does. Where the labelled answers were plainly picked, a card that rests on no more labels than these may
    rest on these.
    """
    own = None if side.errors is None else (side.errors, AS_DRAWN if side.random else AS_LABELLED)
    card = None if basis.errors is None else (basis.errors, AS_CARD)
    if own is not None and side.random:
        return own
    if card is not None and side.picked and card[0].labels <= len(basis.labels):
        return None
    return card or own


def correct(side: SideVerdicts, basis: Basis, *, level: float, seed: int) -> Corrected | None:
    """The corrected rate of one model under one principle; None where there is nothing to correct with.

    By the labels alone where they are of a random part of these answers (prediction-powered), else by the
    judge's errors (Rogan and Gladen).
    """
    if basis.evidence != "calibrated" or not side.clusters:
        return None
    passed, n = effective_counts(side.clusters)
    if side.powered:
        unlabelled = len(side.prompts) - len(side.drawn)
        rest = round(sum(map(sum, side.clusters))) - sum(one.passed for one in side.drawn)
        found = prediction_powered_rate(
            [bool(one.label) for one in side.drawn],
            [one.passed for one in side.drawn],
            rest,
            unlabelled,
            level=level,
            seed=seed,
        )
        lo, hi = found.interval
        labels = len(side.drawn)
        return Corrected(
            found.estimate, lo, hi, "prediction_powered", "identified", "", labels, passed, n, DRAWN
        )
    errors = _errors(side, basis)
    if errors is None:
        if not side.picked:
            return None
        why = f"{side.picked}; draw some at random and label those"
        return Corrected(None, 0.0, 1.0, "rogan_gladen", "contradicted", why, side.labels, passed, n, "")
    known, assumes = errors
    rate = corrected_rate(passed, n, known, level)
    return Corrected(
        rate.estimate,
        rate.interval.lo,
        rate.interval.hi,
        "rogan_gladen",
        rate.status,
        rate.why,
        known.labels,
        passed,
        n,
        assumes,
    )


def correct_change(
    before: SideVerdicts, after: SideVerdicts, raw: Change, basis: Basis, *, level: float, seed: int
) -> CorrectedChange | None:
    """The change of the corrected rate; None where it cannot be told.

    Where people labelled a random part of each side's answers, each is corrected by its own. Else one judge
    with one set of errors saw both sides: raw rates differ by the true difference times
    ``sensitivity + specificity - 1``, so that a test of "the raw rates are equal" is one of "the true rates
    are equal", if the judge errs alike on both.
    """
    if basis.evidence == "calibrated" and before.powered and after.powered:
        return _of_two(before, after, basis, level, seed)
    errors = errors_for(after, basis) or errors_for(before, basis)
    found = errors.youden(level) if errors and basis.evidence == "calibrated" else None
    if found is None or found[1].lo <= 0.0:
        return None
    youden, spread = found
    interval = ratio_interval(raw.diff, Interval(raw.lo, raw.hi), youden, spread)
    diff = min(1.0, max(-1.0, raw.diff / youden))
    return CorrectedChange(diff, interval.lo, interval.hi, raw.p, ALIKE, "rogan_gladen")


def ratio_interval(top: float, top_ci: Interval, bottom: float, bottom_ci: Interval) -> Interval:
    """Interval of ``top / bottom`` from independent intervals of each, within [-1, 1].

    Every ratio ``r`` stays for which the interval of ``top - r * bottom`` (squared and added) holds 0:
    Fieller's argument with the MOVER construction (Donner and Zou, Statistical Methods in Medical Research
    21, 2012). ``bottom_ci`` must lie above 0.

    Raises:
        ValueError: it does not.
    """
    if bottom_ci.lo <= 0.0:
        raise ValueError(f"the divisor may be {bottom_ci.lo!r}")

    def left(ratio: float) -> float:
        """Upper end of ``top - ratio * bottom``: below 0 where the ratio is too large."""
        slack = bottom - bottom_ci.lo if ratio >= 0 else bottom_ci.hi - bottom
        return top - ratio * bottom + math.hypot(top_ci.hi - top, ratio * slack)

    def right(ratio: float) -> float:
        slack = bottom_ci.hi - bottom if ratio >= 0 else bottom - bottom_ci.lo
        return top - ratio * bottom - math.hypot(top - top_ci.lo, ratio * slack)

    middle = min(1.0, max(-1.0, top / bottom))
    return Interval(_crossing(right, middle, -1.0), _crossing(left, middle, 1.0))


def _crossing(found: Callable[[float], float], near: float, far: float) -> float:
    """Where the sign of ``found`` changes between ``near``, a ratio that fits, and ``far``."""
    sign = 1.0 if far > near else -1.0

    def fits(ratio: float) -> bool:
        return sign * found(ratio) >= 0.0

    if near == far or fits(far):
        return far
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if fits(middle) else (near, middle)
    return near


def _of_two(
    before: SideVerdicts, after: SideVerdicts, basis: Basis, level: float, seed: int
) -> CorrectedChange:
    """Both sides corrected by labels of their own; pairs that agree make the interval cautious."""

    def at(confidence: float) -> tuple[float, Interval]:
        one, two = (correct(side, basis, level=confidence, seed=seed) for side in (before, after))
        assert one is not None and two is not None and one.estimate is not None and two.estimate is not None
        ends = square_and_add(one.estimate, Interval(one.lo, one.hi), two.estimate, Interval(two.lo, two.hi))
        return two.estimate - one.estimate, ends

    diff, ends = at(level)
    p = _p(lambda confidence: at(confidence)[1])
    return CorrectedChange(diff, ends.lo, ends.hi, p, DRAWN, "prediction_powered")


def _p(interval: Callable[[float], Interval]) -> float:
    """One less the highest confidence level whose interval leaves out 0, found by bisection."""
    low, high = 0.0, 0.999999
    if not _leaves_out(interval(1e-3)):
        return 1.0
    for _ in range(_LEVELS):
        middle = (low + high) / 2
        low, high = (middle, high) if _leaves_out(interval(max(middle, 1e-3))) else (low, middle)
    return 1.0 - low


def _leaves_out(interval: Interval) -> bool:
    return interval.lo > 0.0 or interval.hi < 0.0
