"""An answer as features read it, cut into words and sentences once."""

from __future__ import annotations

import re
from functools import cached_property

from charter.feedback.recovering.wordlists import STOP
from charter.feedback.rules.text import ends_a_sentence, sentences, straight, words
from charter.types import Sample

_MARKUP = re.compile(r"\A[#>*_`\-\s\d.)(]+")


class AnswerText:
    """One answer.

    Args:
        sample: the answer and what was asked.
        asked: content words of the question.
    """

    def __init__(self, sample: Sample, asked: frozenset[str] = frozenset()) -> None:
        self.text = sample.completion.text.strip()
        self.cut = sample.completion.finish_reason == "length"
        self.asked = asked

    @cached_property
    def lower(self) -> str:
        """In lower case, with plain apostrophes."""
        return straight(self.text).lower()

    @cached_property
    def words(self) -> list[str]:
        """Its words, in lower case."""
        return words(self.lower)

    @cached_property
    def count(self) -> int:
        """Number of words."""
        return len(self.words)

    @cached_property
    def sentences(self) -> list[str]:
        """Its sentences."""
        return sentences(self.text)

    @cached_property
    def beginning(self) -> str:
        """The first characters in lower case, without marks before the first word."""
        return _MARKUP.sub("", self.lower)[:60]

    @cached_property
    def finished(self) -> bool:
        """No limit cut it off, and it ends like a sentence."""
        return not self.cut and ends_a_sentence(self.text)

    @cached_property
    def first_words(self) -> frozenset[str]:
        """Content words of the first sentence."""
        return content_words(self.sentences[0]) if self.sentences else frozenset()

    def per_hundred(self, number: float) -> float:
        """``number`` for each hundred words; short answers count as ten words."""
        return 100.0 * number / max(self.count, 10)


def content_words(text: str) -> frozenset[str]:
    """Different words that carry meaning, in lower case."""
    return frozenset(words(straight(text).lower())) - STOP
