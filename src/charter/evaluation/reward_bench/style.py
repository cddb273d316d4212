"""What an answer looks like, whatever it says: length, lists, bold, headings, code, punctuation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

_LINE = re.MULTILINE

_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "list items": re.compile(r"^[ \t]*(?:[-*+•][ \t]+|\d{1,3}[.)][ \t]+)\S", _LINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
    "headings": re.compile(r"^#{1,6}[ \t]+\S", _LINE),
    "code blocks": re.compile(r"^```", _LINE),
    "exclamation marks": re.compile(r"!"),
    "question marks": re.compile(r"\?"),
    "paragraphs": re.compile(r"\n[ \t]*\n"),
}


def length(text: str) -> int:
    """Characters without the white space around them."""
    return len(text.strip())


def _count(pattern: re.Pattern[str]) -> Callable[[str], float]:
    # A tenth exclamation mark changes less than the first.
    return lambda text: math.log1p(len(pattern.findall(text)))


FEATURES: Mapping[str, Callable[[str], float]] = {
    "length": lambda text: math.log1p(length(text)),
    **{name: _count(pattern) for name, pattern in _PATTERNS.items()},
}
"""By name: ``log(1 + n)`` of the number of characters, and of each kind of mark."""


def style(text: str) -> dict[str, float]:
    """Every feature of one answer."""
    return {name: of(text) for name, of in FEATURES.items()}
