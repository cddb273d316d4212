"""``judge``: the principle's verdict on each answer."""

from __future__ import annotations

from charter.evaluation.suite.measure.tools import Tools
from charter.evaluation.suite.result import SampleResult, TestResult, counted, missing
from charter.evaluation.suite.transcript import Had


def judged(had: Had, tools: Tools) -> TestResult:
    """Passed where the judge (or the principle's rules, if it has some) passes the answer.

    The principle's rubric is the judge's to read. Without a judge and without rules: missing.
    """
    group = had.group
    if group is None or not group.samples:
        return missing(had, had.why_none)
    read = tools.verdicts.of(had.principle, group)
    samples = [SampleResult(group.id, at, one.passed, one.why) for at, one in enumerate(read)]
    by = next((one.by for one in read if one.by), "")
    return counted(had, by, samples)
