"""Before any training: where choosing by a reward stops helping, from one set of scored samples.

The best of n by a reward costs ``log n - (n - 1) / n`` nats, so the curve of proxy and held-out reward over
n shows, without a training run, whether the held-out reward follows the proxy and where it turns. The law
``d (alpha - beta d)`` of Gao, Schulman and Hilton 2022 (2210.10760) is fitted to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charter.errors import DataError
from charter.evaluation.overoptimisation.overoptimisation import Overoptimisation, after_best_of_n
from charter.stats import Interval, bootstrap_mean
from charter.stats.best_of_n import best_of_n, kl_bound

FEWEST_PROMPTS = 4
"""Prompts below which there is no curve."""

HIGHEST_N = 10**6
"""Largest n that a turning point is translated into."""

_RESAMPLES = 2000
_SURE = 0.95

Gain = tuple[float, Interval | None]
"""A mean over prompts and its interval; None = the same for all prompts."""


@dataclass(frozen=True, slots=True)
class At:
    """One n.

    Attributes:
        n: samples that are chosen from.
        kl: nats, the bound of best-of-n.
        proxy: expected reward of the chosen sample.
        proxy_interval: over prompts; None = the same for all of them.
        gold: its expected held-out reward; None = there is none.
        gold_interval: over prompts.
    """

    n: int
    kl: float
    proxy: float
    proxy_interval: Interval | None
    gold: float | None
    gold_interval: Interval | None


@dataclass(frozen=True)
class Preflight:
    """The curve of one reward under one held-out reward.

    Attributes:
        proxy: name of the reward that chooses.
        gold: name of the held-out one; "" = none.
        prompts: used.
        left_out: prompts with a sample that one of the two did not rate, or with too few samples.
        curve: n = 1, 2, 4 ...
        proxy_gain: of the highest n over a plain sample, with its interval over prompts.
        gold_gain: of the held-out reward.
        law: the fit; None = no held-out reward, or it cannot be fitted.
    """

    proxy: str
    gold: str
    prompts: int
    left_out: int
    curve: tuple[At, ...]
    proxy_gain: Gain
    gold_gain: Gain | None
    law: Overoptimisation | None

    @property
    def turning_kl(self) -> float | None:
        """Nats at which the fitted held-out reward is highest, also beyond what was measured.

        None = it rises without an end, or was not fitted; 0 = it falls from the start.
        """
        peak = None if self.law is None else self.law.law.peak
        return None if peak is None else peak**2

    @property
    def turning_n(self) -> int | None:
        """The n of best-of-n that is as far; None as above, or beyond :data:`HIGHEST_N`."""
        kl = self.turning_kl
        if kl is None or kl > kl_bound(HIGHEST_N):
            return None
        lo, hi = 1, HIGHEST_N
        while lo < hi:
            middle = (lo + hi) // 2
            lo, hi = (lo, middle) if kl_bound(middle) >= kl else (middle + 1, hi)
        return lo

    @property
    def within(self) -> bool:
        """The turning point lies among the n that were measured."""
        return self.turning_kl is not None and self.turning_kl <= self.curve[-1].kl

    @property
    def decided(self) -> bool:
        """Nearly all resamples, or nearly none, turn among the n that were measured."""
        return self.law is not None and not 1 - _SURE < self.law.peaked < _SURE

    def words(self) -> str:
        """What it comes to, in a sentence."""
        last = self.curve[-1]
        if self.gold_gain is None:
            return f"no held-out reward: the curve up to n = {last.n} shows the proxy alone"
        gain, interval = self.gold_gain
        if interval is None:
            return f"by the best of {last.n} the held-out reward changes by {gain:+.3g} on every prompt"
        lo, hi = interval
        moved = "rises" if lo > 0 else "falls" if hi < 0 else "does not clearly move"
        said = f"by the best of {last.n} the held-out reward {moved} ({gain:+.3g}, {lo:+.3g} to {hi:+.3g})"
        if self.law is None:
            return said
        if not self.decided:
            return (
                f"{said}; whether it turns before {last.kl:.2f} nats is not decided: it does in "
                f"{self.law.peaked:.0%} of {self.law.resamples} resamples"
            )
        if self.turning_kl is None:
            return f"{said}; the fit has no turning point"
        if self.turning_kl == 0:
            return f"{said}; the fit falls from the start"
        near = "" if self.turning_n is None else f", n = {self.turning_n}"
        if self.within:
            return f"{said}; the fit turns at {self.turning_kl:.2f} nats{near}"
        return f"{said}; the fit turns at {self.turning_kl:.2f} nats{near}, beyond what was measured"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "proxy": self.proxy,
            "gold": self.gold,
            "prompts": self.prompts,
            "left_out": self.left_out,
            "curve": [asdict(one) for one in self.curve],
            "turning_kl": self.turning_kl,
            "turning_n": self.turning_n,
            "within": self.within,
            "decided": self.decided,
            "peaked": None if self.law is None else self.law.peaked,
            "alpha": None if self.law is None else self.law.law.alpha,
            "beta": None if self.law is None else self.law.law.beta,
            "words": self.words(),
        }


def sizes(most: int) -> tuple[int, ...]:
    """1, 2, 4 ... and ``most``."""
    return tuple(sorted({2**i for i in range(int(math.log2(most)) + 1)} | {most}))


def preflight(
    proxy: Sequence[Sequence[float | None]],
    gold: Sequence[Sequence[float | None]] | None = None,
    *,
    names: tuple[str, str] = ("proxy", ""),
    most: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Preflight:
    """The curve over n from the unbiased best-of-n estimator, with intervals over prompts.

    Args:
        proxy: for each prompt, the scores of its samples that choose; None = missing.
        gold: held-out scores of the same samples; None = there are none.
        names: of the two.
        most: highest n; None = half the samples that most prompts have, for the last points are noisy.
        level: of the intervals.
        seed: of the draws.

    Raises:
        DataError: too few prompts or samples, or lists that do not belong together.
    """
    pairs = _complete(proxy, gold)
    samples = max((len(one) for one, _ in pairs), default=0)
    ns = sizes(most or max(samples // 2, 2))
    kept = [(p, g) for p, g in pairs if len(p) >= ns[-1]]
    if len(kept) < FEWEST_PROMPTS:
        raise DataError(
            f"{len(kept)} prompts have {ns[-1]} rated samples; it takes {FEWEST_PROMPTS}",
            fix="sample more prompts, or ask for a smaller n",
        )

    def interval(values: Sequence[float]) -> Interval | None:
        if max(values) - min(values) < 1e-12:
            return None
        return bootstrap_mean([[one] for one in values], level=level, resamples=_RESAMPLES, seed=seed)

    tables = [[[best_of_n(p, n, worth) for n in ns] for worth in (p, g)] for p, g in kept]
    columns = [list(zip(*(table[side] for table in tables), strict=True)) for side in (0, 1)]
    proxies, golds = columns
    curve = tuple(
        At(
            n,
            kl_bound(n),
            math.fsum(proxies[i]) / len(kept),
            interval(proxies[i]),
            None if gold is None else math.fsum(golds[i]) / len(kept),
            None if gold is None else interval(golds[i]),
        )
        for i, n in enumerate(ns)
    )
    gains = [[b - a for a, b in zip(side[0], side[-1], strict=True)] for side in columns]
    each = [(math.fsum(one) / len(one), interval(one)) for one in gains]
    flat = max(map(abs, gains[1])) < 1e-12
    law = None if gold is None or flat else _law(kept, ns, level, seed)
    name = names[1] if gold is not None else ""
    return Preflight(
        names[0],
        name,
        len(kept),
        len(proxy) - len(kept),
        curve,
        each[0],
        None if gold is None else each[1],
        law,
    )


def _complete(
    proxy: Sequence[Sequence[float | None]], gold: Sequence[Sequence[float | None]] | None
) -> list[tuple[list[float], list[float]]]:
    """Prompts whose samples all have both scores."""
    found = []
    try:
        for p, g in zip(proxy, proxy if gold is None else gold, strict=True):
            both = [(a, b) for a, b in zip(p, g, strict=True) if a is not None and b is not None]
            if p and len(both) == len(p):
                found.append(([a for a, _ in both], [b for _, b in both]))
    except ValueError:
        raise DataError("proxy and held-out scores are not of the same samples") from None
    return found


def _law(
    kept: Sequence[tuple[Sequence[float], Sequence[float]]], ns: Sequence[int], level: float, seed: int
) -> Overoptimisation | None:
    try:
        return after_best_of_n(
            [p for p, _ in kept], [g for _, g in kept], ns, level=level, resamples=_RESAMPLES, seed=seed
        )
    except DataError:
        return None
