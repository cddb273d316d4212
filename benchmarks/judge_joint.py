"""Simulated studies of levels of several judged principles, and of what plans ask for; see judge_coverage.

``joint_cell`` plants true rates, judges' errors and how far both hang together over the principles of an
answer, and counts how often the joint interval holds the share that keeps to all of them.
``plan_cell`` follows what a plan asks for and counts how often the gate, or the change, is then decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from charter.evaluation.rates.joint import Answer, Joint
from charter.evaluation.rates.planning import prompts_to_show
from charter.stats import (
    Interval,
    gate_decision,
    mcnemar_exact,
    more_pairs_to_decide,
    more_prompts_for_gate,
    wilson,
)
from charter.stats.judge_plan import judged_gate, plan_gate
from charter.stats.judge_rate import JudgeErrors
from charter.stats.power import planning_level

Row = dict[str, Any]
Rng = np.random.Generator

LEVEL = 0.95
Q1, Q0, RULE = 0.9, 0.85, 0.95
"""Sensitivity and specificity of every judge, and the share of answers that keep to the rule."""
THETAS = (0.9, 0.8, 0.85)
"""True rates of the judged principles."""
MOST = 20_000
"""Prompts and labels together beyond which nobody follows a plan."""

TOGETHER = (0.0, 0.25, 0.5, 1.0)


def joint_settings() -> list[Row]:
    """Two or three judged principles beside a rule; errors, or truths, that hang together over principles."""
    sizes = ((2, 200, 200), (2, 100, 300), (3, 200, 300))
    found = [
        {"judged": k, "labels": m, "prompts": n, "errors_together": share, "truths_together": 0.0}
        for (k, m, n), share in product(sizes, TOGETHER)
    ]
    first = found[0]
    return [*found, {**first, "truths_together": 0.5}, {**first, "truths_together": 1.0}]


def joint_cell(seed: int, runs: int, setting: Mapping[str, Any]) -> Row:
    """Coverage and mean width of the joint interval, and how far its estimates are off in the mean.

    ``errors_together``: share of answers on which one draw decides whether the judge errs under every
    principle; on the others each principle has a draw of its own. ``truths_together`` likewise.
    """
    rng = np.random.default_rng([seed, 1])
    thetas = THETAS[: setting["judged"]]
    share = setting["truths_together"]
    truth = RULE * (share * min(thetas) + (1 - share) * float(np.prod(thetas)))
    names = ("coverage", "width", "raw_coverage", "off")
    sums = dict.fromkeys(names, 0.0)
    for run in range(runs):
        errors = {str(k): _labelled(rng, setting["labels"]) for k in range(len(thetas))}
        prompts = _verdicts(rng, setting["prompts"], thetas, setting["errors_together"], share)
        joint = Joint(prompts, errors, LEVEL, run)
        ends, raw = joint.interval(), _raw(prompts)
        sums["coverage"] += ends.lo <= truth <= ends.hi
        sums["width"] += ends.hi - ends.lo
        sums["raw_coverage"] += raw.lo <= truth <= raw.hi
        sums["off"] += joint.estimate - truth
    told = {name: round(value / runs, 4) for name, value in sums.items()}
    return {**setting, "truth": round(truth, 4), **told}


def _labelled(rng: Rng, labels: int, q1: float = Q1, q0: float = Q0) -> JudgeErrors:
    good = labels // 2
    bad = labels - good
    return JudgeErrors(good, int(rng.binomial(good, q1)), bad, int(rng.binomial(bad, 1 - q0)))


def _draws(rng: Rng, n: int, columns: int, together: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(n, columns)`` uniform draws, of which a share of the rows has one draw for all columns."""
    own, one = rng.random((n, columns)), rng.random((n, 1))
    return np.where(rng.random((n, 1)) < together, one, own)


def _verdicts(
    rng: Rng, n: int, thetas: tuple[float, ...], errors: float, truths: float, q1: float = Q1, q0: float = Q0
) -> list[list[Answer]]:
    good = _draws(rng, n, len(thetas), truths) < np.asarray(thetas)
    wrong = _draws(rng, n, len(thetas), errors) < np.where(good, 1 - q1, 1 - q0)
    passed, ruled = good ^ wrong, rng.random(n) < RULE
    return [
        [(*((str(k), bool(one)) for k, one in enumerate(row)), ("rule", bool(rule)))]
        for row, rule in zip(passed.tolist(), ruled.tolist(), strict=True)
    ]


def _raw(prompts: list[list[Answer]]) -> Interval:
    kept = sum(all(passed for _, passed in answer) for (answer,) in prompts)
    return wilson(kept, len(prompts), LEVEL)


# -- plans --------------------------------------------------------------------

Study = Callable[[Rng], Iterator[bool | None]]
"""Yields whether it is decided: with everything drawn anew at the rates that were seen (None = nothing was
seen before the plan), and with what the plan adds drawn at the true ones. Nothing where there is no plan."""


def plan_cell(seed: int, runs: int, name: str) -> Row:
    """How often what a plan asks for decides."""
    rng = np.random.default_rng([seed, 2])
    anew: list[bool] = []
    added: list[bool] = []
    for _ in range(runs):
        told = list(STUDIES[name](rng))
        if told:
            as_seen, at_truth = told
            anew += [] if as_seen is None else [as_seen]
            added += [] if at_truth is None else [at_truth]
    return {
        "plan": name,
        "studies": runs,
        "planned": max(len(anew), len(added)),
        "decided_as_seen": round(sum(anew) / len(anew), 4) if anew else None,
        "decided_at_truth": round(sum(added) / len(added), 4) if added else None,
    }


def _before_rules(rng: Rng) -> Iterator[bool | None]:
    bound, rate = (0.8, 0.9) if rng.random() < 0.5 else (0.95, 0.975)
    n = prompts_to_show(bound, rate, None, LEVEL)
    assert n is not None
    yield None
    yield gate_decision(int(rng.binomial(n, rate)), n, bound, LEVEL) == "pass"


def _before_judged(rng: Rng) -> Iterator[bool | None]:
    errors = _labelled(rng, 400)
    n = prompts_to_show(0.75, 0.9, errors, LEVEL)
    if n is None or n > MOST:
        return
    yield None
    chance = 0.9 * Q1 + 0.1 * (1 - Q0)
    yield judged_gate(int(rng.binomial(n, chance)), n, errors, 0.75, LEVEL) == "pass"


def _after_rules(rng: Rng) -> Iterator[bool | None]:
    n, rate, bound = 60, 0.88, 0.8
    k = int(rng.binomial(n, rate))
    if gate_decision(k, n, bound, LEVEL) != "undecided":
        return
    more = more_prompts_for_gate(k, n, bound, planning_level(LEVEL))
    if not more or more > MOST:
        return
    total = n + more
    yield gate_decision(int(rng.binomial(total, k / n)), total, bound, LEVEL) != "undecided"
    yield gate_decision(k + int(rng.binomial(more, rate)), total, bound, LEVEL) != "undecided"


def _after_change(rng: Rng) -> Iterator[bool | None]:
    n, up, down = 100, 0.12, 0.04
    seen = rng.multinomial(n, (up, down, 1 - up - down))
    if mcnemar_exact(int(seen[1]), int(seen[0])) < 1 - LEVEL:
        return
    more = more_pairs_to_decide(int(seen[1]), int(seen[0]), n, 1 - LEVEL)
    if not more or more > MOST:
        return
    anew, added = rng.multinomial(n + more, seen / n), seen + rng.multinomial(more, (up, down, 1 - up - down))
    yield mcnemar_exact(int(anew[1]), int(anew[0])) < 1 - LEVEL
    yield mcnemar_exact(int(added[1]), int(added[0])) < 1 - LEVEL


def _after_judged(rng: Rng) -> Iterator[bool | None]:
    n, labels, rate, bound = 80, 80, 0.96, 0.89
    errors = _labelled(rng, labels)
    passed = int(rng.binomial(n, rate * Q1 + (1 - rate) * (1 - Q0)))
    if judged_gate(passed, n, errors, bound, LEVEL) != "undecided":
        return
    plan = plan_gate(passed, n, errors, bound, level=planning_level(LEVEL))
    if plan.both is None or not 0 < sum(plan.both) <= MOST:
        return
    answers, more = plan.both
    total, by = n + answers, 1 + more / labels
    seen = int(rng.binomial(total, passed / n))
    yield judged_gate(seen, total, _anew(rng, errors, by), bound, LEVEL) != "undecided"
    added = passed + int(rng.binomial(answers, rate * Q1 + (1 - rate) * (1 - Q0)))
    yield judged_gate(added, total, _with(rng, errors, more), bound, LEVEL) != "undecided"


def _after_joint(rng: Rng) -> Iterator[bool | None]:
    n, labels, rate, bound = 80, 80, 0.96, 0.81
    thetas = (rate, rate)
    errors = {str(k): _labelled(rng, labels) for k in range(2)}
    prompts = _verdicts(rng, n, thetas, 0.0, 0.0)
    joint = Joint(prompts, errors, LEVEL)
    if joint.decision(bound) != "undecided":
        return
    plan = joint.plan(bound, planning_level(LEVEL))
    if plan.both is None or not 0 < sum(plan.both) <= MOST:
        return
    answers, more = plan.both
    by = 1 + more / sum(one.n for one in errors.values())
    # Verdicts as they were seen, drawn anew.
    anew = [prompts[place] for place in rng.integers(0, n, n + answers)]
    grown = {id: _anew(rng, one, by) for id, one in errors.items()}
    yield Joint(anew, grown, LEVEL).decision(bound) != "undecided"
    added = [*prompts, *_verdicts(rng, answers, thetas, 0.0, 0.0)]
    grown = {id: _with(rng, one, more // 2) for id, one in errors.items()}
    yield Joint(added, grown, LEVEL).decision(bound) != "undecided"


def _anew(rng: Rng, errors: JudgeErrors, by: float) -> JudgeErrors:
    """That many times as many labels, drawn anew at the rates that were seen."""
    good, bad = round(errors.good * by), round(errors.bad * by)
    right = int(rng.binomial(good, errors.good_passed / errors.good))
    return JudgeErrors(good, right, bad, int(rng.binomial(bad, errors.bad_passed / errors.bad)))


def _with(rng: Rng, errors: JudgeErrors, more: int) -> JudgeErrors:
    """As many labels more, of judges as they are."""
    new = _labelled(rng, more)
    return JudgeErrors(
        errors.good + new.good,
        errors.good_passed + new.good_passed,
        errors.bad + new.bad,
        errors.bad_passed + new.bad_passed,
    )


STUDIES: dict[str, Study] = {
    "gate of rules, before": _before_rules,
    "gate of a judge, before": _before_judged,
    "gate of rules, after": _after_rules,
    "change, after": _after_change,
    "gate of a judge, after": _after_judged,
    "gate of two judged principles, after": _after_joint,
}
SLOW = {"gate of two judged principles, after": 0.125, "gate of a judge, after": 0.25}
"""Of these studies a part is simulated: a plan takes a second."""
