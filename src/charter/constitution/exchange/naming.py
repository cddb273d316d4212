"""Titles and ids for principles that come without."""

from __future__ import annotations

import re
from collections.abc import Collection

_MOST = 80
_WORDS = 6
_FIRST_SENTENCE = re.compile(r"(.+?[.!?])\s+(?=\S)", re.DOTALL)
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def title_of(text: str) -> str:
    """A title for a statement: the whole when it is short, else its first words and an ellipsis."""
    plain = " ".join(text.split()).rstrip(".")
    if len(plain) <= _MOST:
        return plain
    words = plain[:_MOST].rsplit(" ", 1)[0] if " " in plain[:_MOST] else plain[:_MOST]
    return f"{words.rstrip(',;:')}\u2026"


def split_title(text: str) -> tuple[str, str]:
    """Title and statement of ``Title. Statement.``; where there is one sentence, it is both."""
    first = _FIRST_SENTENCE.match(text)
    words = first[1].split() if first else []
    if first and len(words) > 1 and len(" ".join(words)) <= _MOST:  # one word is more like "e.g."
        return " ".join(words).rstrip("."), text[first.end() :].strip()
    return title_of(text), text


def usable_id(text: str) -> str:
    """``text`` with only what an id may hold; "" when nothing is left."""
    if _ID.fullmatch(text):
        return text
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-")


def fresh_id(title: str, taken: Collection[str]) -> str:
    """An id from the first words of ``title`` that is not in ``taken``."""
    words = re.findall(r"[a-z0-9]+", title.lower())[:_WORDS]
    plain = "_".join(words) or "principle"
    number, id = 1, plain
    while id in taken:
        number += 1
        id = f"{plain}_{number}"
    return id
