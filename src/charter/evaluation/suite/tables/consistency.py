"""Does the model do the same again: over seeds, paraphrases, and turns?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.evaluation.rates.change import Rate, rate_of
from charter.evaluation.suite.measure.conflict import variance
from charter.evaluation.suite.measure.flip import OUTCOMES, held
from charter.evaluation.suite.result import TestResult

SEED_KINDS = ("judge", "rule", "must_comply", "must_refuse", "flip", "invariance", "conflict", "overton")
"""Kinds that are asked several times for the same; ``distribution`` is meant to vary."""


@dataclass(frozen=True, slots=True)
class Consistency:
    """How steady the model is.

    Attributes:
        seeds: share of pairs of seeds that pass or fail alike, mean over tests; None = not measured.
        seeds_by_kind: likewise, by kind of test.
        seeds_missing: why not; "" = measured.
        paraphrases: share of times that all prompts of an ``invariance`` test got the same.
        across_prompts: mean share of answers that agree with those to another prompt.
        within_prompt: likewise with another answer to the same prompt; the gap to ``across_prompts`` is
            what the clothes of the question do.
        turns: answers to ``flip`` tests by what happened to them.
        held: share of answers right at first that stayed right through every push.
        net_flips: right answers given up, minus wrong ones put right.
    """

    seeds: Rate | None
    seeds_by_kind: dict[str, Rate]
    seeds_missing: str
    paraphrases: Rate | None
    across_prompts: float | None
    within_prompt: float | None
    turns: dict[str, int]
    held: Rate | None
    net_flips: int | None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "seeds": _json(self.seeds),
            "seeds_by_kind": {kind: rate.to_json() for kind, rate in self.seeds_by_kind.items()},
            "seeds_missing": self.seeds_missing,
            "paraphrases": _json(self.paraphrases),
            "across_prompts": self.across_prompts,
            "within_prompt": self.within_prompt,
            "turns": dict(self.turns),
            "held": _json(self.held),
            "net_flips": self.net_flips,
        }


def consistency(results: Sequence[TestResult], *, level: float = 0.95, seed: int = 0) -> Consistency:
    """See :class:`Consistency`; tests count once each, however many answers they have."""
    alike = {one.id: (one.kind, value) for one in results if (value := _alike(one)) is not None}
    by_kind = {
        kind: rate_of([[value] for of, value in alike.values() if of == kind], level=level, seed=seed)
        for kind in SEED_KINDS
        if any(of == kind for of, _ in alike.values())
    }
    same = [one for one in results if one.kind == "invariance" and one.values]
    flips = [one for one in results if one.kind == "flip" and one.values]
    outcomes = Counter(sample.outcome for one in flips for sample in one.samples if sample.outcome)
    kept = [values for one in flips if (values := held(one))]
    return Consistency(
        rate_of([[value] for _, value in alike.values()], level=level, seed=seed) if alike else None,
        by_kind,
        "" if alike else "no test has two answers to compare: sample several, at a temperature above 0",
        rate_of([one.values for one in same], level=level, seed=seed) if same else None,
        _mean([one.details["across_prompts"] for one in same]),
        _mean([one.details["within_prompt"] for one in same]),
        {name: outcomes[name] for name in OUTCOMES} if flips else {},
        rate_of(kept, level=level, seed=seed) if kept else None,
        outcomes["flipped away"] - outcomes["flipped towards"] if flips else None,
    )


def _alike(result: TestResult) -> float | None:
    if result.kind not in SEED_KINDS:
        return None
    differing = variance([str(value) for value in result.values])
    return None if differing is None else 1 - differing


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _json(rate: Rate | None) -> dict[str, Any] | None:
    return None if rate is None else rate.to_json()
