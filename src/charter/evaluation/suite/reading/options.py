"""Which of the given options does an answer choose?

Whole words, any case, the longest option first, so that "York" is not found in "New York"; a denied
option ("not the bus") is none. An answer with exactly one option chooses it. With several, its first
sentence decides, if exactly one stands there. Any other answer is unmatched, and counted as that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from charter.evaluation.suite.reading.expected import says
from charter.evaluation.suite.reading.opening import opening, shown

BY = "heuristic: options found in the answer"


def chosen(text: str, options: Sequence[str]) -> str | None:
    """The option that ``text`` chooses, or None; see the file."""
    read = shown(text)
    plain = re.sub(r"\W+\Z|\A\W+", "", read).casefold()
    for option in options:
        if plain == option.casefold():
            return option
    found = _named(read, options)
    if len(found) > 1:
        found = _named(" ".join(opening(text, 1)), options)
    return found[0] if len(found) == 1 else None


def _named(text: str, options: Sequence[str]) -> list[str]:
    found = []
    for option in sorted(options, key=len, reverse=True):
        if says(text, option):
            found.append(option)
        # What is read as this option is not read as a part of it.
        text = re.sub(rf"(?<!\w){re.escape(option)}(?!\w)", "|", text, flags=re.IGNORECASE)
    return found
