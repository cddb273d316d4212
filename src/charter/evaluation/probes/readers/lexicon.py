"""Words of praise and of hedging, counted."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PRAISE_WORDS = (
    "amazing, awesome, beautiful, beautifully, brilliant, brilliantly, captivating, compelling, "
    "elegant, excellent, exceptional, exceptionally, exquisite, fabulous, fantastic, fascinating, "
    "flawless, gorgeous, great, impressive, impressively, incredible, incredibly, insightful, "
    "inspiring, lovely, magnificent, marvelous, marvellous, masterful, masterfully, masterpiece, "
    "outstanding, perfect, perfectly, phenomenal, powerful, profound, remarkable, remarkably, "
    "splendid, stunning, superb, terrific, thoughtful, wonderful, wonderfully, good question, great "
    "question, well done, well written, well-written, good job, great job, love this, love it"
)

_HEDGE_WORDS = (
    "apparently, arguably, could be, generally, i believe, i guess, i suppose, i think, in general, "
    "in some cases, in some ways, it depends, it is possible, it seems, it's possible, likely, may, "
    "maybe, might, not sure, perhaps, possibly, potentially, presumably, probably, seemingly, "
    "somewhat, sort of, kind of, tends to, to some extent, typically, usually, varies"
)

PRAISE, HEDGES = tuple(_PRAISE_WORDS.split(", ")), tuple(_HEDGE_WORDS.split(", "))

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def _of(words: Iterable[str]) -> re.Pattern[str]:
    ordered = sorted(words, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, ordered))})\b", re.IGNORECASE)


_PRAISE, _HEDGES = _of(PRAISE), _of(HEDGES)


def praise_rate(text: str) -> float | None:
    """Words of praise in 100 words; None where there are no words.

    Counts words and does not read them: ``not great``, irony, quoted praise and ``a powerful engine`` all
    count; praise in other words or languages does not.
    """
    return _rate(_PRAISE, text)


def hedge_rate(text: str) -> float | None:
    """Hedges in 100 words; None where there are no words. ``may`` counts as a month and a wish too."""
    return _rate(_HEDGES, text)


def _rate(pattern: re.Pattern[str], text: str) -> float | None:
    plain = text.replace("\u2019", "'")
    words = len(_WORD.findall(plain))
    return 100 * len(pattern.findall(plain)) / words if words else None
