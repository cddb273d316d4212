"""The rule judge: rules of a constitution applied to one answer.

A rule is a pure function of the answer, why it ended, the prompt and its
options. It passes, fails, or abstains; a rule that breaks raises
:class:`RuleError`, which is never a fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from charter.constitution.rule_tree import Check, Combination, Rule
from charter.constitution.rules import (
    AppliesWhen,
    Contains,
    JsonValid,
    Length,
    ListFree,
    Regex,
    compile_pattern,
)
from charter.constitution.rules import Callable as CallableConfig
from charter.feedback.rules.callables import call
from charter.feedback.rules.language import language, profanity, readability
from charter.feedback.rules.outcome import Outcome, failed, passed
from charter.feedback.rules.text import ends_a_sentence, occurs, sentences, words
from charter.types import FinishReason

_LIST_LINE = re.compile(
    r"^[ \t]*(?:[-*+•‣◦][ \t]+\S|\(?\d{1,3}[.)][ \t]+\S|#{1,6}[ \t]+\S|\|.*\|[ \t]*$|:?-{3,}:?[ \t]*\|)",
    re.MULTILINE,
)


def length(text: str, finish_reason: FinishReason, prompt: str, config: Length) -> Outcome:
    """Counts of words, characters and sentences, and whether the answer is finished."""
    stripped = text.strip()
    parts = sentences(stripped)
    counts = {"words": len(words(stripped)), "chars": len(stripped), "sentences": len(parts)}
    for unit, count in counts.items():
        low, high = config.bounds(unit)
        if low is not None and count < low:
            return failed(f"{count} {unit}, fewer than {low}")
        if high is not None and count > high:
            return failed(f"{count} {unit}, more than {high}")
    first = len(words(parts[0])) if parts else 0
    if config.first_sentence_max_words is not None and first > config.first_sentence_max_words:
        return failed(f"first sentence has {first} words, more than {config.first_sentence_max_words}")
    if config.finished and finish_reason == "length":
        return failed("cut off by the length limit")
    if config.finished and not ends_a_sentence(stripped):
        return failed("does not end like a sentence")
    return passed(f"{counts['words']} words")


def regex(text: str, finish_reason: FinishReason, prompt: str, config: Regex) -> Outcome:
    """A regular expression, on the answer without the white space around it."""
    found = config.compiled().search(text.strip())
    if found is None:
        return failed(f"does not match /{_short(config.pattern)}/")
    return passed(f"matches at {_short(found[0])!r}")


def contains(text: str, finish_reason: FinishReason, prompt: str, config: Contains) -> Outcome:
    """Whole words and phrases, in any case and with any spacing."""
    found = [phrase for phrase in config.none_of if occurs(phrase, text)]
    if found:
        return failed(f"contains {found[0]!r}")
    missing = [phrase for phrase in config.all_of if not occurs(phrase, text)]
    if missing:
        return failed(f"lacks {missing[0]!r}")
    if config.any_of and not any(occurs(phrase, text) for phrase in config.any_of):
        return failed(f"contains none of {', '.join(map(repr, config.any_of))}")
    return passed("words as asked")


def list_free(text: str, finish_reason: FinishReason, prompt: str, config: ListFree) -> Outcome:
    """No line is a list item, a heading or a table row."""
    found = _LIST_LINE.search(text)
    return (
        failed(f"list, heading or table at {_short(found[0].strip())!r}") if found else passed("plain text")
    )


def json_valid(text: str, finish_reason: FinishReason, prompt: str, config: JsonValid) -> Outcome:
    """The whole answer parses as JSON (NaN and Infinity are not JSON)."""
    try:
        value = json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        return failed(f"not JSON: {error}")
    if config.required and not isinstance(value, dict):
        return failed(f"JSON {type(value).__name__}, not an object")
    missing = [key for key in config.required if key not in value]
    return failed(f"JSON lacks {missing[0]!r}") if missing else passed("valid JSON")


RuleFunction = Callable[[str, FinishReason, str, Any], Outcome]

FUNCTIONS: Mapping[str, RuleFunction] = {
    "length": length,
    "regex": regex,
    "contains": contains,
    "list_free": list_free,
    "language": language,
    "readability": readability,
    "profanity": profanity,
    "json_valid": json_valid,
}
"""Every rule but ``callable``, which also needs to know where its file is."""


def evaluate(rule: Rule, text: str, finish_reason: FinishReason, prompt: str, base: Path) -> Outcome:
    """Judge one answer by a rule or a combination of rules.

    Abstentions combine as unknown truth values do: ``all`` fails if any part
    fails, else abstains if any part abstains. A fault anywhere is a fault of
    the whole, so that a broken check shows for every answer, not only for some.

    Args:
        base: directory that callable files are relative to.

    Raises:
        RuleError: a callable broke.
    """
    if isinstance(rule, Check):
        return _single(rule, text, finish_reason, prompt, base)
    parts = [evaluate(part, text, finish_reason, prompt, base) for part in rule.parts]
    return _combined(rule, parts)


def applies(when: AppliesWhen | None, prompt: str, tags: frozenset[str]) -> bool:
    """Is the principle about this prompt?"""
    if when is None:
        return True
    if when.prompt_tag and not tags.intersection(when.prompt_tag):
        return False
    return when.prompt_regex is None or bool(
        compile_pattern(when.prompt_regex, ignore_case=True).search(prompt)
    )


def _single(check: Check, text: str, finish_reason: FinishReason, prompt: str, base: Path) -> Outcome:
    if isinstance(check.config, CallableConfig):
        return call(check.config.target, base, check.file_sha, text, prompt)
    return FUNCTIONS[check.name](text, finish_reason, prompt, check.config)


def _combined(rule: Combination, parts: list[Outcome]) -> Outcome:
    if rule.combine == "not":
        inner = parts[0]
        return Outcome(None if inner.passed is None else not inner.passed, inner.reason)
    decisive = rule.combine == "any"
    verdicts: tuple[bool | None, ...] = (decisive, None)
    for verdict in verdicts:
        said = [part.reason for part in parts if part.passed is verdict]
        if said:
            return Outcome(verdict, "; ".join(said))
    return Outcome(not decisive, "; ".join(part.reason for part in parts))


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
