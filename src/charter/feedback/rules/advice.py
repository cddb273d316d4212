"""What to ask of a writer whose answer fails a rule: phrases that continue "Say that again ..."."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from charter.constitution.rule_tree import Check, Rule
from charter.constitution.rules import (
    Contains,
    JsonValid,
    Language,
    Length,
    ListFree,
    Profanity,
    Readability,
    Regex,
    RuleConfig,
)
from charter.feedback.rules.rules import evaluate
from charter.feedback.rules.text import ends_a_sentence, occurs, sentences, words
from charter.types import FinishReason

WORDS_OF_A_SENTENCE, CHARS_OF_A_SENTENCE = 20, 120
"""A short sentence. Writers cannot count words as they go; sentences they can."""


def advice(rule: Rule, text: str, finish_reason: FinishReason, prompt: str, base: Path) -> list[str]:
    """Phrases such as "with shorter, simpler words", one for each thing to mend, none twice.

    Args:
        rule: what the answer was judged by.
        text: the answer.
        finish_reason: why it ended.
        prompt: what was asked.
        base: directory that callable files are relative to.

    Returns:
        nothing where the answer passes, where the rule abstains, or where no words can be made of
        what it wants: a pattern that must match, a function.

    Raises:
        RuleError: a callable broke.
    """

    def passes(part: Rule) -> bool | None:
        return evaluate(part, text, finish_reason, prompt, base).passed

    def of(part: Rule, wanted: bool) -> list[str]:
        if passes(part) is not (not wanted):
            return []
        if isinstance(part, Check):
            said = (_WANTED if wanted else _UNWANTED).get(type(part.config))
            return said(part.config, text, finish_reason) if said else []
        if part.combine == "not":
            return of(part.parts[0], not wanted)
        found = [of(one, wanted) for one in part.parts]
        if wanted == (part.combine == "all"):
            return [phrase for one in found for phrase in one]
        # Any one part mended is enough.
        return next((one for one in found if one), [])

    return list(dict.fromkeys(of(rule, True)))


def _length(config: Length, text: str, finish_reason: FinishReason) -> list[str]:
    stripped = text.strip()
    parts = sentences(stripped)
    found = []
    for unit, count, step in (
        ("words", len(words(stripped)), WORDS_OF_A_SENTENCE),
        ("chars", len(stripped), CHARS_OF_A_SENTENCE),
        ("sentences", len(parts), 1),
    ):
        low, high = config.bounds(unit)
        if high is not None and count > high:
            found.append(f"in {_sentences(high // step)}")
        elif low is not None and count < low:
            found.append(f"in {_sentences(-(-low // step) + 1, 'full')}")
    first = config.first_sentence_max_words
    if first is not None and parts and len(words(parts[0])) > first:
        found.append("with a short first sentence")
    if config.finished and (finish_reason == "length" or not ends_a_sentence(stripped)):
        found.append("in a few short sentences that come to an end")
    return found[:1] + [phrase for phrase in found[1:] if not phrase.startswith("in ")]


def _sentences(count: int, kind: str = "short") -> str:
    named = {0: "one", 1: "one", 2: "one or two", 3: "two or three", 4: "three or four"}
    number = named.get(count, f"at most {count}" if kind == "short" else f"at least {count}")
    return f"{number} {kind} sentence{'s' if count > 1 else ''}"


def _contains(config: Contains, text: str, finish_reason: FinishReason) -> list[str]:
    found = _without_words(config.none_of, text)
    missing = [phrase for phrase in config.all_of if not occurs(phrase, text)]
    if missing:
        found.append(f"with the words {_quoted(missing, 'and')}")
    if config.any_of and not any(occurs(phrase, text) for phrase in config.any_of):
        found.append(f"with the words {_quoted(config.any_of, 'or')}")
    return found


def _without_words(phrases: Sequence[str], text: str) -> list[str]:
    there = [phrase for phrase in phrases if occurs(phrase, text)]
    return [f"without {_quoted(there, 'or')}"] if there else []


def _readability(config: Readability, text: str, finish_reason: FinishReason) -> list[str]:
    """Every metric on offer rises with the difficulty."""
    if config.max is None:
        return ["in longer, richer sentences"]
    if config.metric == "words_per_sentence":
        return ["in short sentences"]
    return ["with short, simple words"]


def _json(config: JsonValid, text: str, finish_reason: FinishReason) -> list[str]:
    keys = f" with the keys {_quoted(config.required, 'and')}" if config.required else ""
    return [f"as JSON{keys} and nothing else"]


def _without_match(config: Regex, text: str, finish_reason: FinishReason) -> list[str]:
    match = config.compiled().search(text.strip())
    found = match[0].strip() if match else ""
    if not found:
        return []
    if config.where == "end" and "?" in found and not any(map(str.isalnum, found)):
        return ["without a question at the end"]
    place = {"start": " at the beginning", "end": " at the end"}.get(config.where, "")
    return [f'without "{found}"{place}']


def _quoted(phrases: Sequence[str], last: str) -> str:
    *before, end = [f'"{phrase}"' for phrase in phrases]
    return f"{', '.join(before)} {last} {end}" if before else end


_Phrases = Callable[[Any, str, FinishReason], list[str]]

_WANTED: Mapping[type[RuleConfig], _Phrases] = {
    Length: _length,
    Contains: _contains,
    ListFree: lambda *_: ["as plain text without a list"],
    Language: lambda config, *_: [f'in the language "{config.code}"'],
    Readability: _readability,
    Profanity: lambda *_: ["without swear words"],
    JsonValid: _json,
}
_UNWANTED: Mapping[type[RuleConfig], _Phrases] = {
    Regex: _without_match,
    Contains: lambda config, text, _: _without_words((*config.all_of, *config.any_of), text),
}
