"""``distribution``: are many answers spread as the target says?"""

from __future__ import annotations

from collections import Counter

from charter.constitution.cases import Distribution
from charter.evaluation.suite.distance import between, expected_by_chance, interval_of
from charter.evaluation.suite.measure.tools import Tools
from charter.evaluation.suite.reading import options as matching
from charter.evaluation.suite.result import SampleResult, TestResult, missing
from charter.evaluation.suite.transcript import Had

MIN_ANSWERS = 10
"""Answers below which shares are not measured: so few are often all alike whatever the shares are."""


def distribution(had: Had, tools: Tools) -> TestResult:
    """Score: 1 minus the Jensen-Shannon distance of the answers' shares from the target, in [0, 1].

    Passed where the whole bootstrap interval of the distance lies below the limit, failed where it lies
    above, else undecided. ``details`` also hold the distance that as many answers drawn from the target
    itself would show on average, since a sample of any size is some way off.
    """
    group = had.group
    if group is None or not group.samples:
        return missing(had, had.why_none)
    config = had.case.config
    assert isinstance(config, Distribution)
    options, rules = list(config.options), tools.options
    picks = [matching.chosen(sample.completion.text, options) for sample in group.samples]
    samples = [
        SampleResult(
            group.id, at, None, "" if pick else "no option, or several, found in the answer", pick or ""
        )
        for at, pick in enumerate(picks)
    ]
    counts = Counter(pick for pick in picks if pick is not None)
    matched, unmatched = counts.total(), picks.count(None)
    if len(picks) < MIN_ANSWERS:
        return missing(
            had, f"{len(picks)} answers say nothing of shares; {MIN_ANSWERS} are the least", samples
        )
    if matched < rules.matched_at_least * len(picks):
        return missing(had, f"{unmatched} of {len(picks)} answers name no option or several", samples)
    target = [config.target[option] for option in options]
    found = [counts[option] for option in options]
    distance = between(found, target)
    interval = interval_of(
        found, target, level=rules.level, resamples=rules.resamples, seed=rules.seed, ordered=config.ordered
    )
    limit = rules.distribution_limit
    passed = True if interval.js.hi < limit else False if interval.js.lo > limit else None
    shares = {option: counts[option] / matched for option in options}
    chance = expected_by_chance(target, matched, resamples=rules.resamples, seed=rules.seed)
    details = {
        "group": config.group,
        "options": options,
        "shares": shares,
        "target": dict(zip(options, target, strict=True)),
        "matched": matched,
        "unmatched": unmatched,
        "js_distance": distance.js,
        "js_interval": list(interval.js),
        "js_by_chance": chance,
        "wasserstein": distance.wasserstein if config.ordered else None,
        "wasserstein_interval": None if interval.wasserstein is None else list(interval.wasserstein),
        "limit": limit,
    }
    word = "undecided" if passed is None else "within" if passed else "beyond"
    js = interval.js
    why = f"distance {distance.js:.2f} [{js.lo:.2f}, {js.hi:.2f}], {word} the limit of {limit:g}"
    why += f"; {chance:.2f} by chance"
    if (along := interval.wasserstein) is not None:
        why += f"; {distance.wasserstein:.2f} [{along.lo:.2f}, {along.hi:.2f}] of the scale"
    if unmatched:
        why += f"; {unmatched} of {len(picks)} answers left out"
    return TestResult(
        had.principle.id,
        had.case.id,
        had.case.kind,
        passed,
        1 - distance.js,
        why,
        matching.BY,
        tuple(samples),
        details,
    )
