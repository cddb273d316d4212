"""The share of prompts that keep to *every* principle of a level, some of them judged with known errors.

Of a judge with sensitivity ``q1`` and slip rate ``s = 1 - q0`` the verdict ``V`` (0 or 1) makes
``w = (V - s) / (q1 - s)``, whose mean is the truth's. If the judge's errors under one principle say nothing
of those under another once the truth is known, the mean of the product of ``w`` over the principles of a
prompt is the share that keeps to all of them: Rogan and Gladen's correction, for a conjunction. A rule is a
judge without errors. The interval joins two sources: prompts, by the Bayesian bootstrap (Rubin, Annals of
Statistics 9, 1981), and each judge's two rates, by draws from their beta distributions with half a success
and half a failure added. It is never narrower than Wilson's for a faultless judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from charter.stats.intervals import Interval, wilson, z_of
from charter.stats.judge_plan import LABEL_COST, Plan
from charter.stats.judge_rate import JudgeErrors
from charter.stats.power import Decision
from charter.stats.search import SEARCH_LIMIT, smallest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2_000
_LEAST = 0.02
"""Least ``q1 - s`` of a draw: below it the correction only blows up noise."""

_Decided = Callable[[int], bool]
_Both = Callable[[float, float], bool]

Answer = tuple[tuple[str, bool], ...]
"""The verdicts on one answer: principle and whether it passed, of the principles that apply."""


@dataclass(frozen=True)
class Joint:
    """Verdicts of a level on the prompts it applies to.

    Attributes:
        prompts: of each prompt its answers.
        errors: of the principles that a judge judged; the others are exact.
        level: confidence level.
        seed: of the draws.
    """

    prompts: Sequence[Sequence[Answer]]
    errors: Mapping[str, JudgeErrors]
    level: float = 0.95
    seed: int = 0

    @cached_property
    def estimate(self) -> float:
        """The corrected share, in [0, 1]."""
        import numpy as np

        rates = {
            id: (np.array([one.good_passed / one.good]), np.array([one.bad_passed / one.bad]))
            for id, one in self.errors.items()
        }
        shares_KU, counts_K = self._kinds
        weights_1U = self._weights(rates, 1)
        return min(1.0, max(0.0, float((weights_1U @ shares_KU.T @ counts_K)[0] / counts_K.sum())))

    def interval(self, prompts: float = 1.0, labels: float = 1.0) -> Interval:
        """Of the share; as it would be with that many times the prompts and the labels, all rates alike."""
        import numpy as np

        rng = np.random.default_rng(self.seed)
        rates = {
            id: (_beta(rng, one.good_passed, one.good, labels), _beta(rng, one.bad_passed, one.bad, labels))
            for id, one in sorted(self.errors.items())
        }
        n = len(self.prompts)
        shares_KU, counts_K = self._kinds
        # A mass for each prompt, of shape k for k times as many; masses of equal prompts add up to one.
        mass_DK = rng.gamma(counts_K * prompts, size=(DRAWS, len(counts_K)))
        mass_DU = (mass_DK @ shares_KU) / mass_DK.sum(axis=1, keepdims=True)
        drawn = np.clip((self._weights(rates, DRAWS) * mass_DU).sum(axis=1), 0.0, 1.0)
        tail = (1 - self.level) / 2
        lo, hi = (float(end) for end in np.quantile(drawn, (tail, 1 - tail)))
        floor = wilson(self.estimate * n * prompts, n * prompts, self.level)
        return Interval(min(lo, floor.lo), max(hi, floor.hi))

    def decision(self, bound: float, prompts: float = 1.0, labels: float = 1.0) -> Decision:
        """Whether the share is at least ``bound``."""
        found = self.interval(prompts, labels)
        return "pass" if found.lo >= bound else "fail" if found.hi < bound else "undecided"

    def plan(self, bound: float, wanted: float | None = None, label_cost: float = LABEL_COST) -> Plan:
        """What to add before :meth:`decision` decides, if all rates stay as they are.

        Args:
            bound: the gate's.
            wanted: confidence level at which it should decide in the mean; None = the level it decides at.
            label_cost: what a label costs, in judged answers.
        """
        now = self.decision(bound)
        # Few draws lie far out: the ends at another level are these, moved as those of a normal interval.
        by = 1.0 if wanted is None else z_of(wanted) / z_of(self.level)
        if now != "undecided":
            return Plan(now, 0, 0, (0, 0))
        side: Decision = "pass" if self.estimate >= bound else "fail"
        n, all_labels = len(self.prompts), sum(one.n for one in self.errors.values())

        def decided(more: float, labels: float) -> bool:
            grown = 1 + labels / all_labels if all_labels else 1.0
            found = self.interval(1 + more / n, grown)
            if side == "pass":
                return self.estimate - by * (self.estimate - found.lo) >= bound
            return self.estimate + by * (found.hi - self.estimate) < bound

        answers = smallest(lambda more: decided(more, 0))
        if not all_labels:
            return Plan(now, answers, None, None if answers is None else (answers, 0))
        labels = smallest(lambda more: decided(0, more))
        both = _cheapest(decided, answers, labels, label_cost)
        why = "" if both else f"more than {SEARCH_LIMIT:,} answers and labels would be needed"
        return Plan(now, answers, labels, both, why)

    @cached_property
    def _patterns(self) -> list[Answer]:
        return sorted({answer for prompt in self.prompts for answer in prompt})

    @cached_property
    def _kinds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each kind of prompt the share of its answers with each pattern of verdicts; and their number.

        Shapes: ``[kinds, patterns]`` and ``[kinds]``.
        """
        import numpy as np

        place = {pattern: at for at, pattern in enumerate(self._patterns)}
        shares = np.zeros((len(self.prompts), len(place)))
        for row, prompt in enumerate(self.prompts):
            for answer in prompt:
                shares[row, place[answer]] += 1 / len(prompt)
        kinds, counts = np.unique(shares, axis=0, return_counts=True)
        return kinds, counts.astype(float)

    def _weights(
        self, rates: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], draws: int
    ) -> NDArray[np.float64]:
        """The product of ``w`` for each draw of the judge's rates and each pattern."""
        import numpy as np

        weights_DU = np.ones((draws, len(self._patterns)))
        for at, pattern in enumerate(self._patterns):
            for id, passed in pattern:
                if id not in rates:
                    weights_DU[:, at] *= float(passed)
                    continue
                right, slipped = rates[id]
                weights_DU[:, at] *= (float(passed) - slipped) / np.maximum(right - slipped, _LEAST)
        return weights_DU


def _beta(rng: np.random.Generator, passed: float, n: float, by: float) -> NDArray[np.float64]:
    return rng.beta(passed * by + 0.5, (n - passed) * by + 0.5, DRAWS)


def _cheapest(
    decided: _Both, answers: int | None, labels: int | None, label_cost: float
) -> tuple[int, int] | None:
    """The least ``answers + label_cost * labels`` over numbers of labels that double."""
    found = [pair for pair in ((answers, 0), (0, labels)) if None not in pair]
    best = min((_cost(a or 0, b or 0, label_cost), a or 0, b or 0) for a, b in found) if found else None
    extra = 16
    while extra <= SEARCH_LIMIT:
        if best is not None and extra * label_cost >= best[0]:
            break
        more = smallest(lambda answers, now=extra: decided(answers, now))  # type: ignore[misc]
        if more is not None:
            here = (_cost(more, extra, label_cost), more, extra)
            best = here if best is None else min(best, here)
        extra *= 2
    return None if best is None else (best[1], best[2])


def _cost(answers: int, labels: int, label_cost: float) -> float:
    return answers + labels * label_cost
