"""Token shifts of many answers, summed up: how much, where in an answer, and which words."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charter.evaluation.token_shift.token_shift import MARGINAL, AnswerShift
from charter.rundir import now
from charter.stats import Interval

Kind = Literal["unshifted", "marginal", "shifted"]
KINDS: tuple[Kind, ...] = ("unshifted", "marginal", "shifted")

POSITIONS = (1, 2, 3, 6, 11, 21, 51, 101, 201)
"""First token of each stretch of an answer, counted from 1; the last one reaches to the end."""

_RESAMPLES = 5000


@dataclass(frozen=True, slots=True)
class Share:
    """A share of tokens, with the interval that drawing other prompts would give; None with one prompt."""

    rate: float
    count: int
    n: int
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens of one stretch of all answers.

    Attributes:
        first, last: positions, from 1; None = to the end.
        n: tokens there.
        shares: of each kind.
        kl: mean ``KL(aligned || base)``, nats per token.
    """

    first: int
    last: int | None
    n: int
    shares: dict[Kind, Share]
    kl: float


@dataclass(frozen=True, slots=True)
class Word:
    """A token, with how often it stood where the base model would not have put it.

    Attributes:
        token: its text.
        shifted: how often it was shifted.
        n: how often the aligned model wrote it.
        instead: what the base model would have said there most often.
    """

    token: str
    shifted: int
    n: int
    instead: str


@dataclass(frozen=True)
class TokenShift:
    """What was found.

    Attributes:
        base, aligned: names of the two models.
        framed: what was put around the base model; "" = nothing.
        answers: the answers, token by token.
        overall: all tokens together.
        by_position: stretches in which there are tokens.
        words: tokens shifted at least twice, most often first.
        not_greedy: share of tokens that are not the aligned model's own first choice as it is scored. Near
            0, or the answers are not its greedy ones; decoding in bfloat16 rounds a few near ties away.
        created: when.
    """

    base: str
    aligned: str
    framed: str
    answers: tuple[AnswerShift, ...]
    overall: Stretch
    by_position: tuple[Stretch, ...]
    words: tuple[Word, ...]
    not_greedy: float
    created: str

    def to_json(self, examples: int = 5) -> dict[str, Any]:
        """Plain data, with the tokens of ``examples`` answers."""
        return {
            "base": self.base,
            "aligned": self.aligned,
            "framed": self.framed,
            "created": self.created,
            "prompts": len(self.answers),
            "tokens": self.overall.n,
            "not_greedy": self.not_greedy,
            "overall": _stretch_json(self.overall),
            "by_position": [_stretch_json(stretch) for stretch in self.by_position],
            "words": [asdict(word) for word in self.words],
            "examples": [_answer_json(answer) for answer in _spread(self.answers, examples)],
        }


def kind_of(rank: int) -> Kind:
    """The class of a rank."""
    return "unshifted" if rank == 1 else "marginal" if rank <= MARGINAL else "shifted"


def summed(
    answers: Sequence[AnswerShift],
    *,
    base: str,
    aligned: str,
    framed: str = "",
    words: int = 30,
    seed: int = 0,
) -> TokenShift:
    """Sum up answers from :func:`charter.evaluation.token_shift.token_shift.shifts`.

    Shares are of tokens; intervals come from drawing prompts, as tokens of one answer are alike.

    Args:
        answers: at least one.
        base, aligned: names.
        framed: what was put around the base model.
        words: most of them to list.
        seed: of the bootstrap.
    """
    edges = (*POSITIONS, None)
    stretches = [
        _stretch(answers, first, None if following is None else following - 1, seed)
        for first, following in itertools.pairwise(edges)
        if first is not None and any(len(answer.ranks) >= first for answer in answers)
    ]
    own = np.concatenate([answer.own_ranks for answer in answers])
    return TokenShift(
        base=base,
        aligned=aligned,
        framed=framed,
        answers=tuple(answers),
        overall=_stretch(answers, 1, None, seed),
        by_position=tuple(stretches),
        words=_words(answers)[:words],
        not_greedy=float((own > 1).mean()),
        created=now(),
    )


def _stretch(answers: Sequence[AnswerShift], first: int, last: int | None, seed: int) -> Stretch:
    parts = [answer.ranks[first - 1 : last] for answer in answers]
    parts = [part for part in parts if len(part)]
    kl = np.concatenate([answer.kl[first - 1 : last] for answer in answers])
    totals = np.asarray([len(part) for part in parts], dtype=np.float64)
    counts = {
        "unshifted": np.asarray([(part == 1).sum() for part in parts], dtype=np.float64),
        "shifted": np.asarray([(part > MARGINAL).sum() for part in parts], dtype=np.float64),
    }
    counts["marginal"] = totals - counts["unshifted"] - counts["shifted"]
    shares = {kind: _share(counts[kind], totals, seed) for kind in KINDS}
    return Stretch(first, last, int(totals.sum()), shares, float(kl.mean()))


def _share(counts_P: NDArray[np.float64], totals_P: NDArray[np.float64], seed: int) -> Share:
    """Share of all tokens, and its percentile interval over prompts."""
    rate = float(counts_P.sum() / totals_P.sum())
    prompts = len(totals_P)
    interval = None
    if prompts > 1:
        drawn = np.random.default_rng(seed).integers(0, prompts, (_RESAMPLES, prompts))
        rates = counts_P[drawn].sum(1) / totals_P[drawn].sum(1)
        lo, hi = np.quantile(rates, (0.025, 0.975))
        interval = Interval(float(lo), float(hi))
    return Share(rate, int(counts_P.sum()), int(totals_P.sum()), interval)


def _words(answers: Sequence[AnswerShift]) -> tuple[Word, ...]:
    seen: Counter[str] = Counter()
    shifted: Counter[str] = Counter()
    instead: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        for token, rank, choice in zip(answer.tokens, answer.ranks, answer.base_choices, strict=True):
            seen[token] += 1
            if rank > MARGINAL:
                shifted[token] += 1
                instead[token][choice] += 1
    often = sorted(shifted, key=lambda token: (-shifted[token], seen[token], token))
    return tuple(
        Word(token, shifted[token], seen[token], _most(instead[token]))
        for token in often
        if shifted[token] > 1
    )


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda token: (-counts[token], token))


def _stretch_json(stretch: Stretch) -> dict[str, Any]:
    return {
        "first": stretch.first,
        "last": stretch.last,
        "n": stretch.n,
        "kl": stretch.kl,
        **{kind: _share_json(share) for kind, share in stretch.shares.items()},
    }


def _share_json(share: Share) -> dict[str, Any]:
    lo, hi = (None, None) if share.interval is None else (share.interval.lo, share.interval.hi)
    return {"rate": share.rate, "count": share.count, "n": share.n, "lo": lo, "hi": hi}


def _answer_json(answer: AnswerShift) -> dict[str, Any]:
    return {
        "id": answer.id,
        "prompt": answer.prompt,
        "tokens": [
            {"text": token, "rank": int(rank), "instead": choice, "kind": kind_of(int(rank))}
            for token, rank, choice in zip(answer.tokens, answer.ranks, answer.base_choices, strict=True)
        ],
    }


def _spread(answers: Sequence[AnswerShift], count: int) -> list[AnswerShift]:
    """Answers from the most shifted to the least, evenly: never only the striking ones."""
    ranked = sorted(answers, key=lambda answer: -float((answer.ranks > MARGINAL).mean()))
    if len(ranked) <= count:
        return ranked
    places = np.linspace(0, len(ranked) - 1, count).round().astype(int)
    return [ranked[place] for place in dict.fromkeys(places.tolist())]
