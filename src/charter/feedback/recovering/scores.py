"""Numbers read off an answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from charter.feedback.recovering import wordlists
from charter.feedback.recovering.answer_text import AnswerText

Score = Callable[[AnswerText], float]

_LINE = re.MULTILINE
ITEM = re.compile(r"^[ \t]*(?:[-*+•‣◦][ \t]+|\(?\d{1,3}[.)][ \t]+)\S", _LINE)
HEADING = re.compile(r"^#{1,6}[ \t]+\S|^\*\*[^*\n]+\*\*:?[ \t]*$", _LINE)
BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
CODE = re.compile(r"```|`[^`\n]+`")
PARAGRAPH = re.compile(r"\n[ \t]*\n")
NUMBER = re.compile(r"(?<![\w.])\d[\d.,:]*")
SOURCE = re.compile(r"https?://|www\.|\[\d+\]|\(\d{4}\)|according to|et al\b")
EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]|(?<!\\w)[:;]-?[)D(](?!\\w)")
FINAL_QUESTION = re.compile(r"\?[\"')\]*_\s]*\Z")
_WINDOW = 25


def found(pattern: re.Pattern[str]) -> Score:
    """How often a pattern occurs in the lower-case text."""
    return lambda answer: float(len(pattern.findall(answer.lower)))


def marks(pattern: re.Pattern[str]) -> Score:
    """How often a pattern occurs in the text as it is."""
    return lambda answer: float(len(pattern.findall(answer.text)))


def rate(pattern: re.Pattern[str]) -> Score:
    """How often a pattern occurs for each hundred words."""
    return lambda answer: answer.per_hundred(len(pattern.findall(answer.lower)))


def has(pattern: re.Pattern[str]) -> Score:
    """1 where a pattern occurs, else 0."""
    return lambda answer: float(pattern.search(answer.lower) is not None)


def opens(pattern: re.Pattern[str]) -> Score:
    """1 where the answer begins with a pattern, else 0."""
    return lambda answer: float(pattern.match(answer.beginning) is not None)


def sentence_length(answer: AnswerText) -> float:
    """Words of a sentence, on average."""
    return answer.count / max(len(answer.sentences), 1)


def word_length(answer: AnswerText) -> float:
    """Letters of a word, on average."""
    return sum(map(len, answer.words)) / max(answer.count, 1)


def diversity(answer: AnswerText) -> float:
    """Share of different words within windows of 25, so that length does not decide it; NaN when shorter.

    Source: the moving-average type-token ratio of Covington and McFall, J. Quant. Linguistics 17 (2010).
    """
    listed = answer.words
    if len(listed) < _WINDOW:
        return math.nan
    counts: dict[str, int] = {}
    total, windows = 0, 0
    for place, word in enumerate(listed):
        counts[word] = counts.get(word, 0) + 1
        if place >= _WINDOW:
            gone = listed[place - _WINDOW]
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
        if place >= _WINDOW - 1:
            total += len(counts)
            windows += 1
    return total / windows / _WINDOW


def repetition(answer: AnswerText) -> float:
    """Share of runs of three words that were there before."""
    runs = list(zip(answer.words, answer.words[1:], answer.words[2:], strict=False))
    return 1.0 - len(set(runs)) / len(runs) if runs else 0.0


def repeats_question(answer: AnswerText) -> float:
    """Share of the question's content words that stand in the first sentence."""
    return len(answer.asked & answer.first_words) / len(answer.asked) if answer.asked else math.nan


_positive, _negative = wordlists.compiled(wordlists.POSITIVE), wordlists.compiled(wordlists.NEGATIVE)


def sentiment(answer: AnswerText) -> float:
    """Positive less negative words, for each hundred."""
    good, bad = len(_positive.findall(answer.lower)), len(_negative.findall(answer.lower))
    return answer.per_hundred(good - bad)


def words(listed: str) -> re.Pattern[str]:
    """A pattern for each entry of a word list."""
    return wordlists.compiled(listed)
