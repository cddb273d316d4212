"""Comparisons from judged groups: which sample is better, and under which principles.

Best against worst pays for the principle that most samples fail, and a principle
that few prompts bring up is lost in the mix. So a principle may have a *quota*
of pairs of its own, in which only it needs to differ. Every prompt that gives no
pair, and every quota that is not met, is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from charter.errors import ConfigError, DataError, did_you_mean
from charter.feedback.pairs.rows import preference_rows
from charter.feedback.pairs.search import (
    OUTCOMES,
    QUOTA_PER_PROMPT,
    Options,
    Outcome,
    Pair,
    Scored,
    TieBreak,
    fill_quota,
    overall_pairs,
    score_samples,
)
from charter.types import Group, Judgement, PairTarget, SampleTarget

__all__ = ["OUTCOMES", "QUOTA_PER_PROMPT", "CompareCounts", "Comparisons", "QuotaCount", "compare", "to_rows"]


@dataclass(frozen=True, slots=True)
class QuotaCount:
    """How a quota was met: ``made`` of ``wanted`` pairs."""

    wanted: int
    made: int

    @property
    def met(self) -> bool:
        """Were there enough pairs?"""
        return self.made >= self.wanted


@dataclass(frozen=True, slots=True)
class CompareCounts:
    """What became of every prompt, pair and judgement.

    Attributes:
        prompts: groups given.
        pairs: pairs made, ``overall_pairs + quota_pairs``.
        overall_pairs: best against worst.
        quota_pairs: made for a rare principle.
        per_principle: pairs in which ``better`` beats ``worse`` on the principle.
        outcomes: groups by :data:`Outcome`; they add up to ``prompts``.
        prompts_without_pair: groups that gave no pair of either kind.
        missing: judgements without a value, by verdict.
        ignored: judgements that target no single sample.
        unscored: samples without any judged value that counts; never in a pair.
        quota: per principle, how its quota was met.
    """

    prompts: int = 0
    pairs: int = 0
    overall_pairs: int = 0
    quota_pairs: int = 0
    per_principle: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    prompts_without_pair: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    ignored: int = 0
    unscored: int = 0
    quota: Mapping[str, QuotaCount] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Groups of two, better first, and what was counted on the way."""

    groups: tuple[Group, ...]
    counts: CompareCounts


def compare(
    groups: Iterable[Group],
    *,
    weights: Mapping[str, float] | None = None,
    pairs_per_prompt: int = 1,
    quota: Mapping[str, int] | None = None,
    min_margin: float = 0.0,
    min_chosen_words: int = 0,
    finished_only: bool = False,
    quota_slack: float = 0.0,
    tie_break: TieBreak = "moderate_length",
    seed: int = 0,
) -> Comparisons:
    """Pairs of samples from groups whose samples have been judged.

    A sample's score is the weighted mean of its judged values. The best sample
    meets the worst; further pairs of a prompt use the samples left. A pair of
    equal texts or of equal scores is never made.

    Args:
        groups: k samples each, with judgements that target single samples.
        weights: how much a principle counts, in place of the weight its judgements carry.
        pairs_per_prompt: overall pairs wanted from each prompt; they share no sample.
        quota: pairs wanted for single principles, beside the overall ones: ``better``
            beats ``worse`` on that principle and elsewhere they differ as little as
            possible. At most :data:`QUOTA_PER_PROMPT` come from one prompt.
        min_margin: smallest gap of scores an overall pair must have.
        min_chosen_words: a shorter sample is never ``better``, but may be ``worse``.
        finished_only: a sample that was cut off by the length limit is never ``better``
            (training on one with an end-of-turn token teaches to break off).
        quota_slack: how far the score of ``better`` may lie below that of ``worse`` in a quota pair.
        tie_break: see :data:`TieBreak`.
        seed: decides what is left to chance. The order of the samples decides nothing.

    Returns:
        Groups of two samples, better first, with one judgement of the pair (its value is
        the gap of scores, in a quota pair that on its principle). ``meta["principles"]``
        names what ``better`` does better.

    Raises:
        ConfigError: an option is out of range or names a principle nobody judged.
        DataError: group ids are missing or used twice, or a judgement does not fit its group.
    """
    groups = tuple(groups)
    weights, quota = dict(weights or {}), dict(quota or {})
    options = Options(
        pairs_per_prompt, min_margin, min_chosen_words, finished_only, quota_slack, tie_break, seed
    )
    _check_ids(groups)
    _check_options(options, weights, quota, groups)
    pools = {group.id: score_samples(group, weights) for group in groups}
    pairs: dict[str, list[Pair]] = {}
    outcomes: Counter[Outcome] = Counter()
    for key, pool in pools.items():
        pairs[key], outcome = overall_pairs(pool, key, options)
        outcomes[outcome] += 1
    quotas = {
        principle: QuotaCount(wanted, fill_quota(principle, wanted, pools, pairs, options))
        for principle, wanted in quota.items()
    }
    made = tuple(
        _as_group(group, number, pair)
        for group in groups
        for number, pair in enumerate(pairs[group.id], start=1)
    )
    return Comparisons(made, _count(groups, pools, pairs, outcomes, quotas))


def to_rows(comparisons: Comparisons) -> list[dict[str, Any]]:
    """The pairs as rows for a file; see :func:`charter.feedback.pairs.rows.preference_rows`."""
    return preference_rows(comparisons.groups)


def _as_group(group: Group, number: int, pair: Pair) -> Group:
    shas = {one.principle: one.principle_sha for one in group.judgements}
    judges = sorted({one.judge for one in group.judgements if one.value is not None})
    judgement = Judgement(
        PairTarget(0, 1),
        value=pair.gain(pair.principle) if pair.principle else pair.margin,
        principle=pair.principle,
        principle_sha=shas[pair.principle] if pair.principle else "",
        judge="+".join(judges),
        reason="better on " + (", ".join(name or "the whole" for name in pair.principles) or "average"),
    )
    meta = {
        **group.meta,
        "principles": pair.principles,
        "principle_shas": [shas[name] for name in pair.principles],
        "scores": [pair.better.score, pair.worse.score],
        "margin": judgement.value,
        "prompt_id": group.meta.get("prompt_id", group.id),
        "tags": list(group.meta.get("tags", ())),
    }
    samples = (pair.better.sample, pair.worse.sample)
    return Group(samples, (judgement,), f"{group.id}#{number}", group.source, meta)


def _count(
    groups: Sequence[Group],
    pools: Mapping[str, list[Scored]],
    pairs: Mapping[str, list[Pair]],
    outcomes: Mapping[Outcome, int],
    quotas: Mapping[str, QuotaCount],
) -> CompareCounts:
    judgements = [judgement for group in groups for judgement in group.judgements]
    about_samples = [one for one in judgements if isinstance(one.target, SampleTarget)]
    names = sorted({one.principle for one in about_samples})
    made = [pair for of_prompt in pairs.values() for pair in of_prompt]
    taught = Counter(name for pair in made for name in pair.principles)
    return CompareCounts(
        prompts=len(groups),
        pairs=len(made),
        overall_pairs=sum(not pair.principle for pair in made),
        quota_pairs=sum(bool(pair.principle) for pair in made),
        per_principle={name: taught[name] for name in names},
        outcomes={outcome: outcomes.get(outcome, 0) for outcome in OUTCOMES},
        prompts_without_pair=sum(not of_prompt for of_prompt in pairs.values()),
        missing=dict(sorted(Counter(one.verdict for one in about_samples if one.value is None).items())),
        ignored=len(judgements) - len(about_samples),
        unscored=sum(len(group.samples) - len(pools[group.id]) for group in groups),
        quota=quotas,
    )


def _check_ids(groups: Sequence[Group]) -> None:
    for group_id, times in Counter(group.id for group in groups).items():
        if not group_id or times > 1:
            what = f"group id {group_id!r} is used {times} times" if group_id else "a group has no id"
            raise DataError(what, fix="give every prompt an id of its own")


def _check_options(
    options: Options, weights: Mapping[str, float], quota: Mapping[str, int], groups: Sequence[Group]
) -> None:
    if options.pairs_per_prompt < 1:
        raise ConfigError(f"pairs_per_prompt must be at least 1, not {options.pairs_per_prompt}")
    for name, number in (
        ("min_margin", options.min_margin),
        ("min_chosen_words", options.min_chosen_words),
        ("quota_slack", options.quota_slack),
    ):
        if not number >= 0:
            raise ConfigError(f"{name} must not be negative, got {number}")
    if options.tie_break not in ("moderate_length", "random"):
        known = did_you_mean(options.tie_break, ("moderate_length", "random"))
        raise ConfigError(f"unknown tie_break {options.tie_break!r}", fix=known)
    if not groups:
        return  # nothing was judged, so no name can be checked
    judged = {one.principle for group in groups for one in group.judgements if one.principle}
    for option, values, least in (("weights", weights, 0.0), ("quota", quota, 1)):
        for name, number in values.items():
            if name not in judged:
                raise ConfigError(
                    f"{option} names {name!r}, which nobody judged", fix=did_you_mean(name, judged)
                )
            if not least <= number < float("inf"):
                raise ConfigError(f"{option} of {name!r} must be at least {least:g}, not {number}")
