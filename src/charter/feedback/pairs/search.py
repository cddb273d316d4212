"""The search for pairs among one prompt's judged samples, and for a rare principle among all prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import fsum, isfinite
from statistics import median
from typing import Any, Literal

from charter.errors import DataError
from charter.types import Group, Judgement, Sample, SampleTarget

TieBreak = Literal["moderate_length", "random"]
"""Which of several equally good samples: the one of middling length (a learner that is
always shown the shortest soon writes nothing else), or any."""

Outcome = Literal["complete", "tied", "below_margin", "equal_text", "ineligible", "too_few"]
"""How the search for a prompt's overall pairs ended: all were found; the scores left are
equal; their gap is below ``min_margin``; only equal texts are left; of the samples that
may be preferred, none is left or none is good enough; fewer than two scored samples are left."""
OUTCOMES: tuple[Outcome, ...] = ("complete", "tied", "below_margin", "equal_text", "ineligible", "too_few")

QUOTA_PER_PROMPT = 3
"""Most quota pairs of one principle from one prompt."""

DIGITS = 9  # scores equal to this many digits are tied: a mean's last bits depend on the order of its terms


@dataclass(frozen=True)
class Scored:
    """One judged sample: its mean value per principle, and the weighted mean of those."""

    sample: Sample
    values: Mapping[str, float]
    score: float

    @cached_property
    def text(self) -> str:
        """The completion."""
        return self.sample.completion.text

    @cached_property
    def words(self) -> int:
        """Its length."""
        return len(self.text.split())


@dataclass(frozen=True, slots=True)
class Pair:
    """Two samples of one prompt; ``principle`` is the one whose quota asked for it, else ""."""

    better: Scored
    worse: Scored
    principle: str = ""

    @property
    def margin(self) -> float:
        """Gap between the weighted mean scores."""
        return round(self.better.score - self.worse.score, DIGITS)

    @property
    def texts(self) -> frozenset[str]:
        """Both texts, in no order."""
        return frozenset((self.better.text, self.worse.text))

    def gain(self, principle: str) -> float:
        """Gap on one principle; 0 where either sample has no value."""
        ours, theirs = self.better.values.get(principle), self.worse.values.get(principle)
        return 0.0 if ours is None or theirs is None else round(ours - theirs, DIGITS)

    @property
    def principles(self) -> list[str]:
        """What ``better`` does better."""
        return sorted(name for name in self.better.values if self.gain(name) > 0)


@dataclass(frozen=True, slots=True)
class Options:
    """What :func:`charter.feedback.pairs.compare.compare` was asked for."""

    pairs_per_prompt: int
    min_margin: float
    min_chosen_words: int
    finished_only: bool
    quota_slack: float
    tie_break: TieBreak
    seed: int

    def may_win(self, one: Scored) -> bool:
        """May the sample be preferred to another?"""
        cut_off = one.sample.completion.finish_reason == "length"
        return one.words >= self.min_chosen_words and not (cut_off and self.finished_only)


def score_samples(group: Group, weights: Mapping[str, float]) -> list[Scored]:
    """The samples of ``group`` that have at least one judged value of positive weight.

    Raises:
        DataError: a judgement of a sample that is not there, or a value that is no number.
    """
    said: list[dict[str, list[Judgement]]] = [{} for _ in group.samples]
    for judgement in group.judgements:
        if not isinstance(judgement.target, SampleTarget) or judgement.value is None:
            continue
        if judgement.target.sample not in range(len(said)) or not isfinite(judgement.value):
            raise DataError(f"bad judgement {judgement}", where=group.source or group.id)
        said[judgement.target.sample].setdefault(judgement.principle, []).append(judgement)
    scored = [_score(sample, given, weights) for sample, given in zip(group.samples, said, strict=True)]
    return [one for one in scored if one is not None]


def _score(
    sample: Sample, said: Mapping[str, list[Judgement]], weights: Mapping[str, float]
) -> Scored | None:
    """Several judges of one principle are averaged first, then the principles by weight."""
    values = {name: fsum(one.value or 0.0 for one in given) / len(given) for name, given in said.items()}
    counts = {
        name: weights.get(name, fsum(one.weight for one in given) / len(given))
        for name, given in said.items()
    }
    total = fsum(counts.values())
    if total <= 0.0:
        return None
    return Scored(sample, values, round(fsum(counts[name] * values[name] for name in values) / total, DIGITS))


def overall_pairs(pool: list[Scored], key: str, options: Options) -> tuple[list[Pair], Outcome]:
    """Best against worst, again and again among the samples left, and how that ended."""
    pool = list(pool)
    pairs: list[Pair] = []
    while len(pairs) < options.pairs_per_prompt:
        pair, outcome = _best_against_worst(pool, key, options)
        if pair is None:
            return pairs, outcome
        pairs.append(pair)
        pool = [one for one in pool if one is not pair.better and one is not pair.worse]
    return pairs, "complete"


def _best_against_worst(pool: list[Scored], key: str, options: Options) -> tuple[Pair | None, Outcome]:
    if len(pool) < 2:
        return None, "too_few"
    eligible = [one for one in pool if options.may_win(one)]
    if not eligible:
        return None, "ineligible"
    top = max(one.score for one in eligible)
    best = _pick([one for one in eligible if one.score == top], pool, key, options)
    others = [one for one in pool if one.text != best.text]
    if not others:
        return None, "equal_text"
    low = min(one.score for one in others)
    pair = Pair(best, _pick([one for one in others if one.score == low], pool, key, options))
    if pair.margin <= 0.0:
        return None, "tied" if pair.margin == 0.0 else "ineligible"
    return (None, "below_margin") if pair.margin < options.min_margin else (pair, "complete")


def _pick(tied: Sequence[Scored], pool: Sequence[Scored], key: str, options: Options) -> Scored:
    """One of ``tied``; of two lengths equally near their median, the nearer to the whole pool's."""
    if options.tie_break == "random":
        return min(tied, key=lambda one: _chance(options.seed, key, one.text))
    middle, usual = median(one.words for one in tied), median(one.words for one in pool)
    return min(
        tied,
        key=lambda one: (
            abs(one.words - middle),
            abs(one.words - usual),
            _chance(options.seed, key, one.text),
        ),
    )


def _chance(seed: int, *parts: str) -> bytes:
    """A random-looking order that depends on texts, not on positions."""
    return sha256("\x00".join((str(seed), *parts)).encode()).digest()


def fill_quota(
    principle: str,
    wanted: int,
    pools: Mapping[str, list[Scored]],
    pairs: Mapping[str, list[Pair]],
    options: Options,
) -> int:
    """Append up to ``wanted`` pairs for ``principle`` to ``pairs``; how many were made.

    Every prompt gives one before any gives a second, so that the quota is spread.
    """
    order = sorted(pools, key=lambda key: _chance(options.seed, principle, key))
    candidates = {key: _quota_pairs(principle, pools[key], pairs[key], key, options) for key in order}
    made = 0
    for turn in range(QUOTA_PER_PROMPT):
        for key in order:
            if made < wanted and turn < len(candidates[key]):
                pairs[key].append(candidates[key][turn])
                made += 1
    return made


def _quota_pairs(
    principle: str, pool: list[Scored], taken: Sequence[Pair], key: str, options: Options
) -> list[Pair]:
    """Up to :data:`QUOTA_PER_PROMPT` pairs of one prompt: fresh samples and clean contrasts first."""
    used = {pair.texts for pair in taken}
    seen: Counter[str] = Counter()
    found: list[Pair] = []
    candidates = list(_contrasts(principle, pool, options))
    while len(found) < QUOTA_PER_PROMPT:
        candidates = [pair for pair in candidates if pair.texts not in used]
        if not candidates:
            break
        found.append(min(candidates, key=lambda pair: _quota_order(pair, seen, key, options)))
        used.add(found[-1].texts)
        seen.update(found[-1].texts)
    return found


def _contrasts(principle: str, pool: Sequence[Scored], options: Options) -> Iterator[Pair]:
    for better in pool:
        if principle not in better.values or not options.may_win(better):
            continue
        for worse in pool:
            pair = Pair(better, worse, principle)
            if pair.gain(principle) > 0 and better.text != worse.text and pair.margin >= -options.quota_slack:
                yield pair


def _quota_order(pair: Pair, seen: Counter[str], key: str, options: Options) -> tuple[Any, ...]:
    """Fresh samples, a good ``better``, little difference elsewhere, similar length; then chance."""
    elsewhere = fsum(abs(pair.gain(name)) for name in pair.better.values if name != pair.principle)
    length = abs(pair.better.words - pair.worse.words) if options.tie_break == "moderate_length" else 0
    return (
        seen[pair.better.text] + seen[pair.worse.text],
        -pair.better.score,
        round(elsewhere, DIGITS),
        length,
        _chance(options.seed, key, pair.better.text, pair.worse.text),
    )
