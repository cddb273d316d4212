"""Which rating from 1 to 10 an answer gives."""

from __future__ import annotations

import re

_LABELLED = re.compile(r"(?:rating|score|rate)\b[^\d\n]{0,20}(\d+(?:\.\d+)?)", re.IGNORECASE)
_OUT_OF = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|out of)\s*10\b", re.IGNORECASE)
_ALONE = re.compile(r"^\W*(\d+(?:\.\d+)?)(?![\d/])")


def read_rating(text: str) -> float | None:
    """The first ``N/10``, else the first number behind ``rating`` or ``score``, else one it begins with.

    None where there is none, or where it is not from 1 to 10. It cannot see ratings in words or stars.
    """
    for pattern in (_OUT_OF, _LABELLED, _ALONE):
        if found := pattern.search(text):
            value = float(found[1])
            return value if 1 <= value <= 10 else None
    return None
