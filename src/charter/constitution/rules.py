"""Schemas of the rules a constitution may name: what they take, checked when the file is read.

The rules themselves are in :mod:`charter.feedback.rules.rules`. Defaults never change
within a format version, because options left at their default are not hashed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from charter.config import Config
from charter.constitution.languages import LANGUAGES
from charter.errors import did_you_mean

Count = Annotated[int, Field(ge=1)]


def _as_tuple(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Phrases = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_tuple)]
"""One text or a list of texts."""


class RuleConfig(Config):
    """Options of one rule."""

    def describe(self) -> str:
        """What the rule demands, in words for people."""
        return self._demand()

    def _demand(self) -> str:
        raise NotImplementedError


class Length(RuleConfig):
    """How long the answer is, and whether it is finished."""

    min_words: Count | None = None
    max_words: Count | None = None
    min_chars: Count | None = None
    max_chars: Count | None = None
    min_sentences: Count | None = None
    max_sentences: Count | None = None
    first_sentence_max_words: Count | None = None
    finished: bool = False
    """The model ended its turn, and the text ends like a sentence."""

    @model_validator(mode="after")
    def _says_something(self) -> Length:
        if not any(dict(self).values()):
            raise ValueError("length needs at least one bound, such as min_words or max_words")
        for unit in ("words", "chars", "sentences"):
            low, high = self.bounds(unit)
            if low is not None and high is not None and low > high:
                raise ValueError(f"min_{unit} {low} is above max_{unit} {high}: nothing can pass")
        return self

    def bounds(self, unit: str) -> tuple[int | None, int | None]:
        """The (min, max) of ``words``, ``chars`` or ``sentences``."""
        return getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")

    @property
    def has_floor(self) -> bool:
        """Does it keep answers from getting short?"""
        return any(self.bounds(unit)[0] for unit in ("words", "chars", "sentences"))

    @property
    def has_ceiling(self) -> bool:
        """Does it make answers short?"""
        return bool(self.first_sentence_max_words) or any(
            self.bounds(unit)[1] for unit in ("words", "chars", "sentences")
        )

    def _demand(self) -> str:
        parts = []
        for unit, word in (("words", "words"), ("chars", "characters"), ("sentences", "sentences")):
            low, high = self.bounds(unit)
            if low is not None and high is not None:
                parts.append(f"{low} to {high} {word}")
            elif low is not None:
                parts.append(f"at least {low} {word}")
            elif high is not None:
                parts.append(f"at most {high} {word}")
        if self.first_sentence_max_words:
            parts.append(f"first sentence at most {self.first_sentence_max_words} words")
        return ", ".join(parts + ["finished"] * self.finished)


class Regex(RuleConfig):
    """A regular expression that must match."""

    pattern: Annotated[str, Field(min_length=1)]
    ignore_case: bool = True
    where: Literal["anywhere", "start", "end", "full"] = "anywhere"
    """Which part of the answer must match; white space around the answer is not part of it."""

    @model_validator(mode="after")
    def _compiles(self) -> Regex:
        compile_pattern(self.pattern, self.ignore_case)
        self.compiled()
        return self

    def compiled(self) -> re.Pattern[str]:
        """The pattern, anchored as ``where`` says; to be used with ``search``."""
        before = r"\A" if self.where in ("start", "full") else ""
        after = r"\Z" if self.where in ("end", "full") else ""
        if not before and not after:
            return compile_pattern(self.pattern, self.ignore_case)
        return compile_pattern(f"{before}(?:{self.pattern}){after}", self.ignore_case)

    def _demand(self) -> str:
        place = {"anywhere": "matches", "start": "starts with", "end": "ends with", "full": "is"}
        pattern = self.pattern if len(self.pattern) <= 40 else self.pattern[:39] + "…"
        return f"{place[self.where]} /{pattern}/"


class Contains(RuleConfig):
    """Words or phrases that must or must not occur, whole words, any case."""

    any_of: Phrases = ()
    all_of: Phrases = ()
    none_of: Phrases = ()

    @model_validator(mode="after")
    def _says_something(self) -> Contains:
        if not (self.any_of or self.all_of or self.none_of):
            raise ValueError("contains needs any_of, all_of or none_of")
        return self

    def _demand(self) -> str:
        named = (("one of", self.any_of), ("all of", self.all_of), ("none of", self.none_of))
        return "contains " + ", ".join(f"{name} {_quoted(words)}" for name, words in named if words)


class ListFree(RuleConfig):
    """No bulleted or numbered list, heading or table."""

    def _demand(self) -> str:
        return "no lists, headings or tables"


class Language(RuleConfig):
    """The language of the answer."""

    code: str
    """ISO 639 code, such as ``en``."""
    min_probability: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Below this probability of the best guess the detector is not believed, and the rule abstains."""
    min_words: Count = 4
    """Shorter answers are not judged."""

    @field_validator("code")
    @classmethod
    def _is_known(cls, code: str) -> str:
        if code not in LANGUAGES:
            raise ValueError(f"unknown language {code!r}; {did_you_mean(code, LANGUAGES)}")
        return code

    def _demand(self) -> str:
        return f"written in {self.code!r}"


READABILITY_METRICS = (
    "automated_readability_index",
    "coleman_liau_index",
    "lix",
    "rix",
    "mcalpine_eflaw",
    "words_per_sentence",
)
"""Metrics that need no syllable dictionary, so that they give the same number on every machine."""


class Readability(RuleConfig):
    """A readability score within bounds."""

    metric: str = "automated_readability_index"
    min: float | None = None
    max: float | None = None
    min_words: Count = 8
    """Shorter answers are not judged: scores of a few words mean nothing."""

    @field_validator("metric")
    @classmethod
    def _is_offline(cls, metric: str) -> str:
        if metric not in READABILITY_METRICS:
            raise ValueError(
                f"metric {metric!r} is not offered (metrics that count syllables need a download, "
                f"and differ between machines); use one of: {', '.join(READABILITY_METRICS)}"
            )
        return metric

    @model_validator(mode="after")
    def _says_something(self) -> Readability:
        if self.min is None and self.max is None:
            raise ValueError("readability needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing can pass")
        return self

    def _demand(self) -> str:
        low = f"{self.min:g} <= " if self.min is not None else ""
        high = f" <= {self.max:g}" if self.max is not None else ""
        return f"{low}{self.metric.replace('_', ' ')}{high}"


class Profanity(RuleConfig):
    """No swear words, by a word list."""

    allow: Phrases = ()
    """Words of the list that are fine here."""
    also: Phrases = ()
    """Words that are not on the list but count as swearing here."""

    def _demand(self) -> str:
        return "no profanity"


class JsonValid(RuleConfig):
    """The whole answer is JSON."""

    required: Phrases = ()
    """Keys the top-level object must have."""

    def _demand(self) -> str:
        keys = f" with {_quoted(self.required)}" if self.required else ""
        return f"valid JSON{keys}"


class Callable(RuleConfig):
    """Your own function: ``(completion: str, prompt: str) -> bool | None | (bool, str)``."""

    target: Annotated[str, Field(pattern=r"^[^:\s][^:]*:[A-Za-z_]\w*$")]
    """``file.py:function``, relative to the constitution, or ``package.module:function``."""

    def _demand(self) -> str:
        return f"{self.target} says yes"


RULES: Mapping[str, type[RuleConfig]] = {
    "length": Length,
    "regex": Regex,
    "contains": Contains,
    "list_free": ListFree,
    "language": Language,
    "readability": Readability,
    "profanity": Profanity,
    "json_valid": JsonValid,
    "callable": Callable,
}
"""Every rule by the name it has in a constitution."""

SHORTHAND: Mapping[str, str] = {"regex": "pattern", "language": "code", "callable": "target"}
"""Rules that may be written ``name: text``, and the option that the text is."""


class AppliesWhen(Config):
    """Which prompts a principle is about; all that is given must hold."""

    prompt_tag: Phrases = ()
    """The prompt carries one of these tags."""
    prompt_regex: str | None = None
    """The prompt matches, anywhere, any case."""

    @field_validator("prompt_regex")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            compile_pattern(pattern, ignore_case=True)
        return pattern

    @model_validator(mode="after")
    def _says_something(self) -> AppliesWhen:
        if not self.prompt_tag and self.prompt_regex is None:
            raise ValueError("applies_when needs prompt_tag or prompt_regex")
        return self

    def describe(self) -> str:
        """In words for people."""
        tag = [f"tagged {_quoted(self.prompt_tag)}"] if self.prompt_tag else []
        pattern = [f"matching /{self.prompt_regex}/"] if self.prompt_regex else []
        return "prompts " + " and ".join(tag + pattern)


def compile_pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """Compile; ``re`` keeps a cache.

    Raises:
        ValueError: not a regular expression.
    """
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise ValueError(f"bad regular expression {pattern!r}: {error}") from None


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(repr(word) for word in words)
