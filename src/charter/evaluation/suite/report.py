"""Everything a constitution's tests showed of one model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from charter.evaluation.suite.plan import Plan
from charter.evaluation.suite.result import TestResult
from charter.evaluation.suite.tables.conflicts import ConflictCell
from charter.evaluation.suite.tables.consistency import Consistency
from charter.evaluation.suite.tables.enforcement import EnforcementRow
from charter.evaluation.suite.tables.pluralism import PluralismRow
from charter.types import Group


@dataclass(frozen=True)
class TestReport:
    """Results and tables.

    Attributes:
        constitution: its name.
        constitution_sha: its sha.
        plan: what was to be asked.
        results: one of each test, in the order of the file; those that cannot be asked included.
        groups: every conversation; :func:`charter.records.write_groups` writes them.
        enforcement: over-enforcement beside violation, per principle.
        conflicts: who won, per pair of principles.
        consistency: over seeds, paraphrases and turns.
        pluralism: the worst group first.
    """

    __test__ = False  # no test class, whatever pytest thinks of the name

    constitution: str
    constitution_sha: str
    plan: Plan
    results: tuple[TestResult, ...]
    groups: tuple[Group, ...]
    enforcement: tuple[EnforcementRow, ...]
    conflicts: tuple[ConflictCell, ...]
    consistency: Consistency
    pluralism: tuple[PluralismRow, ...]

    def result(self, principle: str, test: str) -> TestResult:
        """The result of one test.

        Raises:
            KeyError: there is none.
        """
        for one in self.results:
            if (one.principle, one.test) == (principle, test):
                return one
        raise KeyError(f"{principle}/{test}")

    @property
    def missing(self) -> dict[str, int]:
        """Tests that were not measured, by reason."""
        return dict(Counter(one.why for one in self.results if not one.measured))

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By kind: tests, and how many were measured, passed, failed and undecided."""
        found: dict[str, dict[str, int]] = {}
        for one in self.results:
            row = found.setdefault(
                one.kind, {"tests": 0, "measured": 0, "passed": 0, "failed": 0, "undecided": 0}
            )
            row["tests"] += 1
            row["measured"] += one.measured
            row["passed"] += one.passed is True
            row["failed"] += one.passed is False
            row["undecided"] += one.measured and one.passed is None
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values; transcripts are written apart."""
        return {
            "constitution": self.constitution,
            "constitution_sha": self.constitution_sha,
            "plan": self.plan.to_json(),
            "counts": self.counts,
            "missing": self.missing,
            "results": [one.to_json() for one in self.results],
            "enforcement": [one.to_json() for one in self.enforcement],
            "conflicts": [one.to_json() for one in self.conflicts],
            "consistency": self.consistency.to_json(),
            "pluralism": [one.to_json() for one in self.pluralism],
        }
