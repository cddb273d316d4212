"""A rate of which people labelled a part and a judge the whole (prediction-powered inference).

The labelled answers must be a random part of all answers: then the judge's errors are measured where
they matter, whatever they are, and no sensitivity or specificity is carried over from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.stats.intervals import Interval, wilson, z_of

DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class PoweredRate:
    """A rate, and what the judge added to the labels.

    Attributes:
        estimate: the rate.
        interval: of it.
        weight: trust in the judge; 0 = the labels alone, 1 = the judge's word with its bias taken off.
        labelled: answers with a label.
        unlabelled: answers with the judge's word alone.
        labels_alone: interval without the judge.
    """

    estimate: float
    interval: Interval
    weight: float
    labelled: int
    unlabelled: int
    labels_alone: Interval


def prediction_powered_rate(
    labels: Sequence[bool],
    judged: Sequence[bool],
    passed: int,
    n: int,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> PoweredRate:
    """Rate of good answers, from labels of a part and the judge's verdicts on all.

    Among the answers that the judge passes, and among those that it fails, the labels say how many are
    good; the judge says how many there are of each (double sampling: Tenenbein, Journal of the American
    Statistical Association 65, 1970). For pass and fail this is prediction-powered inference with the best
    weight. The interval joins the three rates' uncertainty by draws from their beta distributions with
    half a success and half a failure added (Jeffreys): unlike the normal one it covers near 0 and 1.

    Args:
        labels: is the answer good?
        judged: did the judge pass it? In the same order.
        passed: unlabelled answers the judge passed.
        n: unlabelled answers judged.
        level: confidence level.
        draws: how many; the ends of the interval move by their noise.
        seed: of the draws.

    Raises:
        ValueError: no labels, unequal numbers, or not ``0 <= passed <= n``.
    """
    import numpy as np

    if not labels or len(labels) != len(judged) or not 0 <= passed <= n:
        raise ValueError(f"{len(labels)} labels, {len(judged)} judged of them, {passed!r} of {n!r} passed")
    z_of(level)
    counts = {verdict: [0, 0] for verdict in (True, False)}
    for good, verdict in zip(labels, judged, strict=True):
        counts[bool(verdict)][bool(good)] += 1
    in_passed, in_failed = sum(counts[True]), sum(counts[False])
    shared = (passed + in_passed) / (n + len(labels))
    rates = [_share(counts[True]), _share(counts[False])]
    estimate = shared * rates[0] + (1 - shared) * rates[1]
    rng = np.random.default_rng(seed)

    def draw(yes: int, no: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return rng.beta(yes + 0.5, no + 0.5, draws)

    share = draw(passed + in_passed, n - passed + in_failed)
    drawn = share * draw(counts[True][1], counts[True][0])
    drawn += (1 - share) * draw(counts[False][1], counts[False][0])
    lo, hi = (float(end) for end in np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2)))
    # A rate of 0 or 1 belongs to its interval, as with Wilson's.
    interval = Interval(0.0 if estimate == 0.0 else min(lo, estimate), max(hi, estimate))
    weight = min(1.0, max(0.0, (rates[0] - rates[1]) / (1 + len(labels) / n))) if n else 0.0
    alone = wilson(sum(map(bool, labels)), len(labels), level)
    return PoweredRate(estimate, interval, weight, len(labels), n, alone)


def _share(counts: Sequence[int]) -> float:
    """Good ones among ``[bad, good]``; a half where nothing is known."""
    return counts[1] / sum(counts) if sum(counts) else 0.5
