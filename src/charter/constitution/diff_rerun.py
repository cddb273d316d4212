"""What must be measured again after a change of the constitution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.constitution.cases import Case, Conflict
from charter.constitution.constitution import Constitution
from charter.constitution.principle import Principle

_OTHER = "the principle is not the one that was judged"
_IDLE = "the principle is in force again"
_REJUDGED = "models judge otherwise"


@dataclass(frozen=True, slots=True)
class Rerun:
    """A principle that has no valid result yet, or tests of it that have none.

    Attributes:
        principle: its id.
        principle_sha: the fingerprint that results must carry.
        tests: ids of the tests to run; none where the principle has no tests of its own.
        why: what made old results void.
    """

    principle: str
    principle_sha: str
    tests: tuple[str, ...]
    why: str


def affected(old: Constitution, new: Constitution) -> tuple[Rerun, ...]:
    """Principles and tests to measure again: new or changed ones, and those whose rival or judge changed.

    Principles that need nothing are not in it; retired ones neither.
    """
    before = {principle.id: principle for principle in old.principles}
    rejudged = old.judge != new.judge
    changed = {p.id for p in new.principles if p.id not in before or before[p.id].sha != p.sha}
    found = []
    for principle in new.active:
        was = before.get(principle.id)
        idle = was is not None and not was.active
        old_tests = {case.id: case.to_dict() for case in was.tests} if was else {}
        reasons: dict[str, str] = {}
        for case in principle.tests:
            why = _why(principle, case, old_tests, changed, rejudged)
            if idle and not why:
                why = _IDLE
            if why:
                reasons[case.id] = why
        if not principle.tests and (why := _why_untested(principle, changed, rejudged, idle)):
            reasons = {"": why}
        if reasons:
            why = "; ".join(dict.fromkeys(reasons.values()))
            tests = tuple(test for test in reasons if test)
            found.append(Rerun(principle.id, principle.sha, tests, why))
    return tuple(found)


def _why(
    principle: Principle, case: Case, before: Mapping[str, Any], changed: set[str], rejudged: bool
) -> str:
    if principle.id in changed:
        return _OTHER
    if before.get(case.id) != case.to_dict():
        return "the test is new or changed"
    if isinstance(case.config, Conflict) and case.config.against in changed:
        return "the principle it conflicts with changed"
    if rejudged and case.kind != "rule":
        return _REJUDGED
    return ""


def _why_untested(principle: Principle, changed: set[str], rejudged: bool, idle: bool) -> str:
    """Without tests of its own, a principle is measured on the prompts that an evaluation is given."""
    if principle.id in changed:
        return _OTHER
    if idle:
        return _IDLE
    return _REJUDGED if rejudged and principle.rules is None else ""
