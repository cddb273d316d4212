"""Counting words and sentences.

Words are runs of letters and digits, so languages written without spaces count
as one word a run: use ``min_chars`` and ``max_chars`` there.
"""

from __future__ import annotations

import re

# Sentence-final marks: . ! ? ellipsis, and the ideographic full stop, exclamation and question mark.
_MARK = r"[.!?\u2026\u3002\uff01\uff1f]"
_CLOSING = r"[\"'\u201d\u2019)\]*_`\u00bb]"
_WORD = re.compile(r"\w+(?:['\u2019\-]\w+)*")
_END = re.compile(rf"{_MARK}+{_CLOSING}*(?=\s|$)|[\u3002\uff01\uff1f]+|\n\s*\n")
_FINAL = re.compile(rf"{_MARK}(?:{_CLOSING}|\s)*\Z")
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
# A full stop behind one of these does not end a sentence: a known abbreviation, initials, a list number.
_ABBREVIATION = re.compile(
    r"(?:\b(?:dr|mrs?|ms|prof|st|vs|etc|e\.g|i\.e|cf|fig|approx|inc|ltd)"
    r"|\b[A-Za-z](?:\.[A-Za-z])*"
    r"|(?:\A|\n)[ \t]*\d{1,3})\.\Z",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    """The words of ``text``; a contraction or a hyphenated word is one."""
    return _WORD.findall(text)


def sentences(text: str) -> list[str]:
    """``text`` cut behind sentence-final punctuation and at blank lines.

    Abbreviations such as "e.g.", initials, and the number of a list item do not end a sentence.
    """
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        piece = text[start : end.end()]
        if _ABBREVIATION.search(piece.rstrip()) and end.end() < len(text) and not end[0].isspace():
            continue
        if words(piece):
            found.append(piece.strip())
            start = end.end()
    if words(text[start:]):
        found.append(text[start:].strip())
    return found


def ends_a_sentence(text: str) -> bool:
    """Does ``text`` end in sentence-final punctuation, whatever quotes or brackets follow it?"""
    return _FINAL.search(text) is not None


def straight(text: str) -> str:
    """``text`` with typographic apostrophes and quotes made plain."""
    return text.translate(_STRAIGHT)


def occurs(phrase: str, text: str) -> bool:
    """Does ``text`` hold the phrase as whole words, in any case and with any spacing?"""
    pattern = r"\s+".join(re.escape(word) for word in straight(phrase).split())
    return re.search(rf"(?<!\w){pattern}(?!\w)", straight(text), re.IGNORECASE) is not None
