"""A constitution's own tests: which conversations they need, asking them, and measuring every kind.

:func:`run_tests` does all of it.
"""

from charter.evaluation.suite.judging import OpenJudge
from charter.evaluation.suite.plan import Plan, plan_tests
from charter.evaluation.suite.report import TestReport
from charter.evaluation.suite.result import SampleResult, TestResult
from charter.evaluation.suite.run import run_tests
from charter.evaluation.suite.settings import SuiteOptions

__all__ = [
    "OpenJudge",
    "Plan",
    "SampleResult",
    "SuiteOptions",
    "TestReport",
    "TestResult",
    "plan_tests",
    "run_tests",
]
