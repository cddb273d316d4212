"""The beginning of an answer, where models say whether they will do it and what they think."""

from __future__ import annotations

import re

from charter.feedback.rules.text import sentences, straight

_HIDDEN = re.compile(
    r"\A\s*<(think|thinking|reasoning|scratchpad)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE
)
_MARKUP = re.compile(r"[*_`#>]+")


def shown(text: str) -> str:
    """What a person reads: without a block of hidden reasoning at the start, marks and typographic quotes."""
    return " ".join(_MARKUP.sub("", straight(_HIDDEN.sub("", text))).split())


def opening(text: str, count: int) -> list[str]:
    """The first ``count`` sentences of what is shown, in lower case."""
    return [sentence.casefold() for sentence in sentences(shown(text))[:count]]
