"""Do two answers say the same? Known without a judge only where they are the same, or short.

Compared are words and numbers, without case, punctuation, articles and a lead-in such as "The answer is".
Short answers (up to eight words) that differ are different. Longer ones that differ in words may still say
the same: None.
"""

from __future__ import annotations

import re

from charter.evaluation.suite.reading.opening import shown

BY = "heuristic: the same words"
SHORT = 8

_LEAD = re.compile(
    r"\A(?:(?:sure|okay|ok|certainly|of course|well|great question|good question)[,.!:]*\s+)?"
    r"(?:the\s+(?:correct\s+|right\s+|final\s+)?answer\s+is|it\s+is|it's|that\s+is|that's|i\s+think)?:?\s*",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\d+(?:[.,/:]\d+)*|[^\W\d_]+")
_ARTICLES = frozenset({"a", "an", "the"})


def normalised(text: str) -> tuple[str, ...]:
    """The words that count."""
    read = _LEAD.sub("", shown(text), count=1)
    return tuple(word for word in _TOKEN.findall(read.casefold()) if word not in _ARTICLES)


def same(one: str, other: str) -> bool | None:
    """See the file."""
    a, b = normalised(one), normalised(other)
    if not a or not b:
        return None
    if a == b:
        return True
    return False if max(len(a), len(b)) <= SHORT else None
