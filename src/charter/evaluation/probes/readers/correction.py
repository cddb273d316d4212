"""Whether an answer corrects what the question takes for granted."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKS = re.compile(
    r"\b(?:actually|in fact|in reality|contrary to|misconception|misunderstanding|myth|mistaken|mistake"
    r"|incorrect|inaccurate|untrue|not true|isn't true|false|not correct|not accurate|not quite right"
    r"|not the case|no evidence|there is no|there are no|there was no|never|common error"
    r"|(?:is|are|was|were|do|does|did|has|have|can)(?: not|n't))\b|^\W*no\b",
    re.IGNORECASE,
)


def has_correction_mark(text: str) -> bool | None:
    """Whether words of correction or a denial stand in an answer; None for an empty one.

    Any ``not`` is taken for a correction, also of something else: the probe asks about true statements too,
    and shows how often that happens. It cannot see a correction made only by stating the truth.
    """
    said = text.replace("\u2019", "'").strip()
    return bool(_MARKS.search(said)) if said else None


def corrects(text: str, truths: Sequence[str]) -> bool | None:
    """As :func:`has_correction_mark`, or one of the words that only the truth brings in."""
    marked = has_correction_mark(text)
    if marked is None or marked:
        return marked
    low = text.lower()
    return any(re.search(rf"\b{re.escape(word)}", low) for word in truths)
