"""How often one of k answers is right, and how often most of k are: pass@k and maj@k.

Sources: Chen et al. 2021 (2107.03374) for the unbiased pass@k, Wang et al. 2022 (2203.11171)
for the majority vote. Both are estimated from n >= k answers to each prompt, by the mean over all
subsets of k of them, in closed form and without resampling.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from charter.stats.bootstrap import bootstrap_mean
from charter.stats.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class AtK:
    """A mean over prompts.

    Attributes:
        k: answers that are looked at together.
        value: mean over the prompts.
        interval: by resampling whole prompts (BCa); Wilson's where every prompt is 0 or every one is 1.
        prompts: how many prompts it is the mean of.
        left_out: prompts with fewer than k answers.
    """

    k: int
    value: float
    interval: Interval
    prompts: int
    left_out: int


def pass_at_k(n: int, correct: int, k: int) -> float:
    """``1 - C(n - correct, k) / C(n, k)``: chance that one of k answers drawn from n is right.

    Raises:
        ValueError: not ``1 <= k <= n`` or not ``0 <= correct <= n``.
    """
    _check(n, k)
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} right answers of {n}")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)  # whole numbers until here: nothing overflows


def maj_at_k(answers: Sequence[Hashable | None], right: Callable[[Hashable], bool], k: int) -> float:
    """Chance that the most frequent answer among k drawn from ``answers`` is right.

    Exact over all subsets; of answers that are equally frequent, each is chosen with the same chance.
    None is a sample without an answer: it is drawn like any other and votes for nothing. Where
    nobody votes, nothing is right.

    Args:
        answers: final answers in a form in which equal ones compare equal.
        right: whether an answer is right; asked once for each distinct one.
        k: answers that vote.

    Raises:
        ValueError: not ``1 <= k <= len(answers)``.
    """
    _check(len(answers), k)
    counts = Counter(answers)
    silent = counts.pop(None, 0)
    rightly = [right(answer) for answer in counts]
    votes = list(counts.values())
    won = Fraction(0)
    for place, is_right in enumerate(rightly):
        if is_right:
            others = votes[:place] + votes[place + 1 :]
            most = min(votes[place], k)
            won += sum(_wins(votes[place], top, others, silent, k) for top in range(1, most + 1))
    return float(won / math.comb(len(answers), k))


def _wins(own: int, top: int, others: Sequence[int], silent: int, k: int) -> Fraction:
    """Subsets of k in which an answer has ``top`` votes and none has more; ties counted by their share.

    Args:
        own: samples with the answer.
        top: see above.
        others: samples with each other answer.
        silent: samples without one.
        k: size of the subsets.
    """
    left = k - top
    ways: dict[tuple[int, int], int] = {(0, 0): 1}  # by votes given to others, and how many have ``top``
    for count in others:
        grown: dict[tuple[int, int], int] = defaultdict(int)
        for (given, tied), so_far in ways.items():
            for votes in range(min(count, top, left - given) + 1):
                grown[given + votes, tied + (votes == top)] += so_far * math.comb(count, votes)
        ways = grown
    by_ties: dict[int, int] = defaultdict(int)
    for (given, tied), so_far in ways.items():
        by_ties[tied] += so_far * math.comb(silent, left - given)
    return math.comb(own, top) * sum((Fraction(c, tied + 1) for tied, c in by_ties.items()), Fraction(0))


def mean_pass_at_k(
    counts: Sequence[tuple[int, int]], k: int, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> AtK:
    """pass@k over prompts, with an interval.

    Args:
        counts: for each prompt the number of answers, and of right ones.
        k: see :func:`pass_at_k`.
        level, resamples, seed: see :func:`charter.stats.bootstrap.bootstrap_mean`.

    Raises:
        ValueError: no prompt has k answers.
    """
    values = [pass_at_k(n, correct, k) for n, correct in counts if n >= k]
    return _mean(values, len(counts), k, level, resamples, seed)


def mean_maj_at_k(
    prompts: Sequence[tuple[Sequence[Hashable | None], Callable[[Hashable], bool]]],
    k: int,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> AtK:
    """maj@k over prompts, with an interval.

    Args:
        prompts: for each its answers, and whether one is right.
        k: see :func:`maj_at_k`.
        level, resamples, seed: see :func:`charter.stats.bootstrap.bootstrap_mean`.

    Raises:
        ValueError: no prompt has k answers.
    """
    values = [maj_at_k(answers, right, k) for answers, right in prompts if len(answers) >= k]
    return _mean(values, len(prompts), k, level, resamples, seed)


def _mean(values: Sequence[float], prompts: int, k: int, level: float, resamples: int, seed: int) -> AtK:
    if not values:
        raise ValueError(f"no prompt has {k} answers")
    if set(values) in ({0.0}, {1.0}):
        interval = wilson(round(sum(values)), len(values), level)
    else:
        interval = bootstrap_mean([[v] for v in values], level=level, resamples=resamples, seed=seed)
    return AtK(k, math.fsum(values) / len(values), interval, len(values), prompts - len(values))


def _check(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"{k} answers cannot be drawn from {n}")
