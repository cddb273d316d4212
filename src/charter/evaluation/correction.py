"""Rates and changes that a fallible judge measured, corrected for its errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from charter.evaluation.basis import MIN_LABELS, Basis, Place, Side
from charter.evaluation.change import Change
from charter.evaluation.verdicts import PromptVerdicts
from charter.stats.intervals import Interval, square_and_add
from charter.stats.judge_rate import JudgeErrors, Status, corrected_rate, effective_counts
from charter.stats.prediction_powered import prediction_powered_rate

Method = Literal["rogan_gladen", "prediction_powered"]
"""``rogan_gladen``: by sensitivity and specificity on labelled answers like these. ``prediction_powered``: by
labels of a random part of these very answers."""

ALIKE = "the judge errs alike on both models' answers"
"""What the change of a corrected rate rests on, where only one set of labels calibrates both sides."""

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
        }


@dataclass(frozen=True, slots=True)
class CorrectedChange:
    """A change of corrected rates.

    Attributes:
        diff: after minus before.
        lo: lower end of its interval.
        hi: upper end.
        p: of "the true rate did not change", under ``assumes``.
        assumes: what this rests on; "" = nothing further.
    """

    diff: float
    lo: float
    hi: float
    p: float
    assumes: str

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: getattr(self, name) for name in ("diff", "lo", "hi", "p", "assumes")}


@dataclass(frozen=True)
class SideVerdicts:
    """One model's verdicts under one principle, and the labels people gave to some of its answers.

    Attributes:
        clusters: of each prompt the verdicts of its judged answers.
        labelled: people's label and the judge's verdict of the same answer.
        rest: like ``clusters``, without the labelled answers.
    """

    clusters: Sequence[Sequence[float]]
    labelled: Sequence[tuple[bool, bool]] = ()
    rest: Sequence[Sequence[float]] = ()

    @property
    def powered(self) -> bool:
        """Whether labels of these answers correct the rate."""
        return len(self.labelled) >= MIN_LABELS and all(len(cluster) == 1 for cluster in self.clusters)

    @property
    def errors(self) -> JudgeErrors | None:
        """The judge on the labelled answers among these; None where they are too few, or of one kind."""
        good = [said for label, said in self.labelled if label]
        bad = [said for label, said in self.labelled if not label]
        if len(self.labelled) < MIN_LABELS or not good or not bad:
            return None
        return JudgeErrors(len(good), sum(good), len(bad), sum(bad))


def side_verdicts(
    prompts: Sequence[PromptVerdicts], principle: str, side: Side, labels: Mapping[Place, bool]
) -> SideVerdicts:
    """A model's verdicts with the labels that belong to them; prompts without a verdict say nothing."""
    clusters: list[list[float]] = []
    rest: list[list[float]] = []
    labelled: list[tuple[bool, bool]] = []
    for prompt in prompts:
        cluster, others = [], []
        for index, cell in enumerate(prompt.cells[principle]):
            if cell.passed is None:
                continue
            cluster.append(float(cell.passed))
            label = labels.get((side, prompt.id, index))
            if label is None:
                others.append(float(cell.passed))
            else:
                labelled.append((label, cell.passed))
        if cluster:
            clusters.append(cluster)
        if others:
            rest.append(others)
    return SideVerdicts(clusters, labelled, rest)


def errors_for(side: SideVerdicts, basis: Basis) -> JudgeErrors | None:
    """Errors that correct this side: on its own answers where enough are labelled, else on the card's."""
    return side.errors or basis.errors


def correct(side: SideVerdicts, basis: Basis, *, level: float, seed: int) -> Corrected | None:
    """The corrected rate of one model under one principle; None where there is nothing to correct with."""
    if basis.evidence != "calibrated" or not side.clusters:
        return None
    passed, n = effective_counts(side.clusters)
    if side.powered:
        unlabelled = [cluster[0] for cluster in side.rest]
        found = prediction_powered_rate(
            [label for label, _ in side.labelled],
            [said for _, said in side.labelled],
            int(sum(unlabelled)),
            len(unlabelled),
            level=level,
            seed=seed,
        )
        lo, hi = found.interval
        return Corrected(
            found.estimate, lo, hi, "prediction_powered", "identified", "", len(side.labelled), passed, n
        )
    errors = errors_for(side, basis)
    if errors is None:
        return None
    rate = corrected_rate(passed, n, errors, level)
    return Corrected(
        rate.estimate,
        rate.interval.lo,
        rate.interval.hi,
        "rogan_gladen",
        rate.status,
        rate.why,
        int(errors.n),
        passed,
        n,
    )


def correct_change(
    before: SideVerdicts, after: SideVerdicts, raw: Change, basis: Basis, *, level: float, seed: int
) -> CorrectedChange | None:
    """The change of the corrected rate; None where it cannot be told.

    Where each side has labels of its own answers, each is corrected by them. Else one judge with one set of
    errors saw both sides: raw rates differ by the true difference times ``sensitivity + specificity - 1``, so
    that a test of "the raw rates are equal" is one of "the true rates are equal", if the judge errs alike
    on both.
    """
    if before.powered and after.powered:
        return _of_two(before, after, basis, level, seed)
    errors = basis.errors or after.errors or before.errors
    found = errors.youden(level) if errors and basis.evidence == "calibrated" else None
    if found is None or found[1].lo <= 0.0:
        return None
    youden, spread = found
    interval = ratio_interval(raw.diff, Interval(raw.lo, raw.hi), youden, spread)
    diff = min(1.0, max(-1.0, raw.diff / youden))
    return CorrectedChange(diff, interval.lo, interval.hi, raw.p, ALIKE)


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
    return CorrectedChange(diff, ends.lo, ends.hi, _p(lambda confidence: at(confidence)[1]), "")


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
