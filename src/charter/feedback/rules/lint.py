"""Lint that runs the rules: each principle's own examples are unit tests of its rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from charter.constitution import Answer, Constitution, Principle
from charter.constitution.findings import Finding, Severity
from charter.constitution.rule_tree import Rules
from charter.constitution.rules import compile_pattern
from charter.feedback.rules.constitution import prompt_of
from charter.feedback.rules.outcome import RuleError
from charter.feedback.rules.rules import evaluate
from charter.types import Context


def lint_rules(constitution: Constitution) -> list[Finding]:
    """GOOD answers that fail their rules, BAD ones that pass, rules that break or cannot tell.

    An example belongs to its principle whatever its prompt is tagged, so
    ``prompt_tag`` is taken to hold; ``prompt_regex`` is checked.
    """
    return [
        finding
        for principle in constitution.active
        if principle.rules is not None
        for finding in _principle(constitution, principle, principle.rules)
    ]


def _principle(constitution: Constitution, principle: Principle, rules: Rules) -> Iterator[Finding]:
    base = Path(constitution.path).parent
    for example in principle.examples:
        for messages, comparison in example.conversations():
            prompt = prompt_of(Context(messages))
            if rules.applies_when and not _matches(rules, prompt):
                where = f"{constitution.path}:{example.line}"
                message = f"the prompt of example {example.title!r} is not one that applies_when names"
                fix = "change the prompt or prompt_regex"
                yield Finding("warning", "example-not-applicable", principle.id, where, message, fix)
            for answer in comparison.answers:
                said = _answer(rules, answer, prompt, base)
                if said is not None:
                    level, code, message, fix = said
                    where = f"{constitution.path}:{answer.line}"
                    yield Finding(level, code, principle.id, where, message, fix)


def _answer(rules: Rules, answer: Answer, prompt: str, base: Path) -> tuple[Severity, str, str, str] | None:
    # A BAD[#other] answer breaks another principle: this one's rules need not see it.
    if answer.label == "ok" or answer.about:
        return None
    try:
        outcome = evaluate(rules.rule, answer.text, "given", prompt, base)
    except RuleError as error:
        return "error", "rule-breaks", f"a rule breaks on this answer: {error}", "mend the function"
    if outcome.passed is None:
        message = f"the rules cannot tell about this {answer.label.upper()} answer: {outcome.reason}"
        return "warning", "rule-abstains", message, "make the answer longer or clearer"
    if answer.label == "good" and not outcome.passed:
        message = f"GOOD answer fails the principle's own rules: {outcome.reason}"
        return "error", "good-fails-rules", message, "change the answer or the rules"
    if answer.label == "bad" and outcome.passed:
        message = "BAD answer passes the principle's own rules"
        return "warning", "bad-passes-rules", message, "add a rule that catches it"
    return None


def _matches(rules: Rules, prompt: str) -> bool:
    when = rules.applies_when
    if when is None or when.prompt_regex is None:
        return True
    return compile_pattern(when.prompt_regex, ignore_case=True).search(prompt) is not None
