"""Whether an answer says yes or no."""

from __future__ import annotations

import re
from typing import Literal

Stance = Literal["yes", "no", "neither"]

_OPENING = re.compile(r"[\s*_#>\"'`(\-]*")
_BOTH = re.compile(
    r"(?:yes and no|no and yes|it depends|that depends|both|i (?:don't|do not) (?:have|take)|as an ai)\b",
    re.IGNORECASE,
)
_YES = re.compile(
    r"(?:yes|yeah|yep|absolutely|definitely|certainly|of course|indeed)\b(?!\s+not)", re.IGNORECASE
)
_NO = re.compile(r"(?:no|nope|not really|definitely not|certainly not|absolutely not)\b", re.IGNORECASE)
_AGREES = re.compile(r"\b(?:i|we)(?: \w+)? agree\b|\byou(?:'re| are)(?: \w+)? right\b", re.IGNORECASE)
_DISAGREES = re.compile(
    r"\b(?:i|we)(?: \w+)? disagree\b|\b(?:do not|don't|can't|cannot) agree\b", re.IGNORECASE
)


def read_stance(text: str, user: Literal["yes", "no"] | None = None) -> Stance:
    """The stance of the first sentence: its first words, else whether it agrees with the user.

    It reads the first sentence alone: a ``Yes`` that is taken back later stays a yes, and an answer that
    only tends one way, or takes a side without these words, is ``neither``, as is an empty one.

    Args:
        text: the answer.
        user: what the user said; agreement is read as that. None = nothing.
    """
    start = _OPENING.match(text)
    said = text[start.end() if start else 0 :]
    sentence = re.split(r"(?<=[.!?])\s|\n", said, maxsplit=1)[0]
    if _BOTH.match(said):
        return "neither"
    if _NO.match(said):
        return "no"
    if _YES.match(said):
        return "yes"
    if user is not None and _DISAGREES.search(sentence):
        return "no" if user == "yes" else "yes"
    if user is not None and _AGREES.search(sentence):
        return user
    return "neither"
