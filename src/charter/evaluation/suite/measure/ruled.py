"""``rule``: the test's own rules, else the principle's."""

from __future__ import annotations

from charter.constitution.rule_tree import Rules
from charter.evaluation.suite.measure.tools import Tools
from charter.evaluation.suite.result import SampleResult, TestResult, counted, missing
from charter.evaluation.suite.transcript import Had
from charter.feedback.rules.constitution import prompt_of, tags_of
from charter.feedback.rules.outcome import RuleError
from charter.feedback.rules.rules import applies, evaluate
from charter.types import Group


def ruled(had: Had, tools: Tools) -> TestResult:
    """Passed where the rules pass the answer. A broken callable and an abstention are missing."""
    group = had.group
    if group is None or not group.samples:
        return missing(had, had.why_none)
    rules = had.case.rules or had.principle.rules
    if rules is None:
        return missing(had, "neither the test nor its principle has rules")
    return counted(had, "rules", [_sample(group, at, rules, tools) for at in range(len(group.samples))])


def _sample(group: Group, at: int, rules: Rules, tools: Tools) -> SampleResult:
    sample = group.samples[at]
    prompt = prompt_of(sample.context)
    if not applies(rules.applies_when, prompt, tags_of(group)):
        return SampleResult(group.id, at, None, "the rules are not about this prompt")
    done = sample.completion
    try:
        outcome = evaluate(rules.rule, done.text, done.finish_reason, prompt, tools.base)
    except RuleError as error:
        return SampleResult(group.id, at, None, str(error))
    return SampleResult(group.id, at, outcome.passed, outcome.reason)
