"""How much of a reward is length and style, over the model's own answers to the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

from charter.evaluation.probes.measures import not_measured
from charter.evaluation.probes.rows import ProbeResult, Row
from charter.evaluation.probes.scoring import scored
from charter.evaluation.probes.settings import Bench
from charter.evaluation.reward_bench.style import FEATURES, length, style
from charter.stats import Interval
from charter.stats.explained import Explained, least_squares, spearman

NAME = "reward-style"

DRAWS = 400
"""Resamples of prompts for the interval of an R2."""

LEAST_PROMPTS = 4
"""Prompts below which no interval is given."""

NAMES = (*FEATURES, "characters")
"""Features: those of style, and the plain number of characters."""

Answers = tuple[Sequence[dict[str, float]], Sequence[float], Sequence[float]]
"""Of one prompt: style, length and reward of each answer, each less its mean over the prompt."""


def run(bench: Bench) -> ProbeResult:
    """Within prompts, so that a prompt that asks for long answers explains nothing."""
    assert bench.rewards is not None
    drawn = bench.drawn
    found = scored(bench.rewards, drawn.groups)
    texts = [[sample.completion.text for sample in group.samples] for group in drawn.groups]
    rows: list[Row] = [not_measured(f"{name}: R2 of style", why) for name, why in found.refused.items()]
    for name in found.names:
        rows += reward_rows(name, texts, found.column(name), bench.settings.level, bench.settings.seed)
    return ProbeResult(NAME, tuple(rows), (), found.missing + drawn.missing)


def reward_rows(
    name: str,
    texts: Sequence[Sequence[str]],
    values: Sequence[Sequence[float | None]],
    level: float = 0.95,
    seed: int = 0,
) -> list[Row]:
    """What style explains of one reward.

    Args:
        name: of the reward.
        texts: the answers of each prompt.
        values: their rewards; None = missing, left out.
        level: of the intervals.
        seed: of the draws.
    """
    known = [
        [(text, value) for text, value in zip(row, said, strict=True) if value is not None]
        for row, said in zip(texts, values, strict=True)
    ]
    missing = sum(map(len, texts)) - sum(map(len, known))
    prompts = [_apart(one) for one in known if len(one) > 1]
    fit = _fit(prompts)
    title = f"{name}: R2 of style"
    if fit is None:
        why = "the reward or the answers do not differ within prompts, or there are too few"
        return [not_measured(title, why)]
    rho = spearman(
        [one for _, lengths, _ in prompts for one in lengths],
        [one for *_, rewards in prompts for one in rewards],
        level,
    )
    r2 = Row(
        title,
        max(fit.adjusted, 0.0),
        _interval(prompts, level, seed),
        fit.n,
        missing,
        "share",
        why="share of the differences between answers to one prompt that style explains (adjusted)",
        detail={**asdict(fit), "prompts": len(prompts)},
    )
    alone = Row(
        f"{name}: rank correlation with length",
        None if rho is None else rho.value,
        None if rho is None else rho.interval,
        0 if rho is None else rho.n,
        missing,
        "change",
        why="of answers to one prompt" if rho else "lengths or rewards do not differ",
    )
    return [r2, alone]


def _features(text: str) -> dict[str, float]:
    # The features take the logarithm of the length; a reward may go with the length itself.
    return {**style(text), "characters": float(length(text))}


def _apart(answers: Sequence[tuple[str, float]]) -> Answers:
    styles = [_features(text) for text, _ in answers]
    means = {name: fmean(one[name] for one in styles) for name in NAMES}
    lengths = [float(length(text)) for text, _ in answers]
    rewards = [value for _, value in answers]
    return (
        [{name: one[name] - means[name] for name in NAMES} for one in styles],
        [one - fmean(lengths) for one in lengths],
        [one - fmean(rewards) for one in rewards],
    )


def _fit(prompts: Sequence[Answers]) -> Explained | None:
    features: Mapping[str, list[float]] = {
        name: [one[name] for styles, *_ in prompts for one in styles] for name in NAMES
    }
    rewards = [one for *_, said in prompts for one in said]
    fit = least_squares(features, rewards, intercept=False)
    if fit is None:
        return None
    # Each prompt's mean was taken out, and is a number that was fitted as well.
    free = fit.n - len(prompts)
    spare = free - len(fit.effects)
    if spare < 1:
        return None
    return Explained(fit.r2, 1 - (1 - fit.r2) * free / spare, fit.effects, fit.n)


def _interval(prompts: Sequence[Answers], level: float, seed: int) -> Interval | None:
    """Percentiles over resampled prompts."""
    import numpy as np

    if len(prompts) < LEAST_PROMPTS:
        return None
    rng = np.random.default_rng(seed)
    draws = [
        fit.adjusted
        for _ in range(DRAWS)
        if (fit := _fit([prompts[i] for i in rng.integers(0, len(prompts), len(prompts))])) is not None
    ]
    if len(draws) < DRAWS / 2:
        return None
    lo, hi = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(max(float(lo), 0.0), max(float(hi), 0.0))
