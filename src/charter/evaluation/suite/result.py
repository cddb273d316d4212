"""What a test showed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.evaluation.suite.transcript import Had


@dataclass(frozen=True, slots=True)
class SampleResult:
    """One answer, or one conversation, of a test.

    Attributes:
        group: id of the group that holds it.
        sample: its number there.
        passed: None = it could not be told.
        why: of that, in words.
        outcome: a word for what happened, where pass and fail say too little.
    """

    group: str
    sample: int
    passed: bool | None
    why: str = ""
    outcome: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "group": self.group,
            "sample": self.sample,
            "passed": self.passed,
            "why": self.why,
            "outcome": self.outcome,
        }


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test, measured or not.

    Attributes:
        principle: id of the principle it measures.
        test: its id.
        kind: its kind.
        passed: more than half of its measured answers passed; exactly half is no pass. Of
            ``distribution`` and ``steer`` see their files. None = not measured, or undecided.
        score: share of its measured answers that passed, in [0, 1]; of ``steer``, ``distribution`` and
            ``overton`` see their files. None = not measured.
        why: of that, in words.
        by: who measured it: ``rules``, ``judge NAME``, ``heuristic: ...``; "" = nobody.
        samples: each answer.
        details: what else was found, plain values.
    """

    __test__ = False  # no test class, whatever pytest thinks of the name

    principle: str
    test: str
    kind: str
    passed: bool | None
    score: float | None
    why: str
    by: str = ""
    samples: tuple[SampleResult, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Unique in a constitution."""
        return f"{self.principle}/{self.test}"

    @property
    def measured(self) -> bool:
        """Whether there is a score."""
        return self.score is not None

    @property
    def values(self) -> list[float]:
        """1.0 for each answer that passed, 0.0 for each that failed."""
        return [float(one.passed) for one in self.samples if one.passed is not None]

    @property
    def unmeasured(self) -> int:
        """Answers that could not be told."""
        return sum(one.passed is None for one in self.samples)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "principle": self.principle,
            "test": self.test,
            "kind": self.kind,
            "passed": self.passed,
            "score": self.score,
            "why": self.why,
            "by": self.by,
            "unmeasured": self.unmeasured,
            "details": dict(self.details),
            "samples": [one.to_json() for one in self.samples],
        }


def missing(had: Had, why: str, samples: Iterable[SampleResult] = ()) -> TestResult:
    """A test that was not measured, and why."""
    return TestResult(had.principle.id, had.case.id, had.case.kind, None, None, why, "", tuple(samples))


def counted(
    had: Had, by: str, samples: Sequence[SampleResult], details: Mapping[str, Any] | None = None
) -> TestResult:
    """A test whose score is the share of its answers that passed."""
    told = [one.passed for one in samples if one.passed is not None]
    if not told:
        return missing(had, _reasons(samples) or "no answer came", samples)
    passed = sum(told)
    why = f"{passed} of {len(told)} answers pass"
    if passed < len(told):
        why += f": {_reasons([one for one in samples if one.passed is False])}"
    if len(told) < len(samples):
        silent = [one for one in samples if one.passed is None]
        why += f" ({len(silent)} not measured: {_reasons(silent)})"
    return TestResult(
        had.principle.id,
        had.case.id,
        had.case.kind,
        2 * passed > len(told),
        passed / len(told),
        why,
        by,
        tuple(samples),
        details or {},
    )


def _reasons(samples: Iterable[SampleResult], most: int = 2) -> str:
    said = list(dict.fromkeys(one.why for one in samples if one.why))
    return "; ".join(said[:most]) + (f"; and {len(said) - most} more" if len(said) > most else "")
