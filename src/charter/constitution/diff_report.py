"""Which rows of an earlier report still hold after a change of the constitution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charter.constitution.constitution import Constitution
from charter.constitution.diff_rerun import Rerun, affected
from charter.constitution.principle import Principle
from charter.errors import UserError
from charter.rundir import sha256_json

_NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True)
class RerunPlan:
    """What of an earlier report can be kept.

    Attributes:
        holds: principles whose row stays true.
        again: principles and tests to measure, with the reason.
        gone: principles with a row that are not in force any more.
        overall_holds: do the figures for all principles together, and the gates, stay true?
    """

    holds: tuple[str, ...]
    again: tuple[Rerun, ...]
    gone: tuple[str, ...]
    overall_holds: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def sha_of_tests(principle: Principle) -> str:
    """sha256 of a principle's own tests, which its ``sha`` leaves out."""
    return sha256_json([case.to_dict() for case in principle.tests])


def rerun_plan(old_report_json: Mapping[str, Any], old: Constitution, new: Constitution) -> RerunPlan:
    """Compare a report about ``old`` with ``new``.

    A row holds when its principle is in force, has the fingerprint it was measured with, the same
    tests, rivals and judge, and was measured at all. Where ``constitution.principles[]`` carries
    ``tests_sha``, the tests are compared by it, else with those of ``old``.

    Args:
        old_report_json: the content of ``report.json``, schema 1.
        old: the constitution it is about.
        new: the constitution now.

    Raises:
        UserError: the report is no report, or is not about ``old``.
    """
    rows = _rows(old_report_json, old)
    tests = {principle.id: sha_of_tests(principle) for principle in old.principles} | _tests(old_report_json)
    changed = {run.principle: run for run in affected(old, new)}
    holds, again = [], []
    for principle in new.active:
        row = rows.get(principle.id)
        every = tuple(case.id for case in principle.tests)
        if row is None:
            again.append(_run(principle, every, "the report has no row for it"))
        elif row.get("status") == _NOT_MEASURED:
            again.append(_run(principle, every, "it was not measured"))
        elif row.get("sha") != principle.sha:
            again.append(changed.get(principle.id) or _run(principle, every, "the row is of another wording"))
        elif principle.id in changed:
            again.append(changed[principle.id])
        elif tests.get(principle.id) != sha_of_tests(principle):
            again.append(_run(principle, every, "the row was measured with other tests"))
        else:
            holds.append(principle.id)
    in_force = {principle.id for principle in new.active}
    gone = tuple(id for id in rows if id not in in_force)
    return RerunPlan(tuple(holds), tuple(again), gone, not again and not gone and _composed_alike(old, new))


def _run(principle: Principle, tests: tuple[str, ...], why: str) -> Rerun:
    return Rerun(principle.id, principle.sha, tests, why)


def _composed_alike(old: Constitution, new: Constitution) -> bool:
    """Weights, hardness, levels, composition and gates decide what the rows say together."""
    before = {p.id: (p.weight, p.hard) for p in old.active}
    after = {p.id: (p.weight, p.hard) for p in new.active}
    keys = {"levels", "override", "compose", "gates"}
    return before == after and old.front.model_dump(include=keys) == new.front.model_dump(include=keys)


def _rows(report: Mapping[str, Any], old: Constitution) -> dict[str, Mapping[str, Any]]:
    about, adherence = report.get("constitution"), report.get("adherence")
    if not isinstance(adherence, Mapping) or not isinstance(adherence.get("principles"), list):
        raise UserError("not a report: it has no adherence.principles", fix="name a report.json")
    sha = about.get("sha") if isinstance(about, Mapping) else None
    if sha != old.sha:
        raise UserError(
            f"the report is about the constitution with the sha {str(sha)[:12]}, not {old.sha[:12]}",
            where=old.path,
            fix="name the version that was reported on; amended ones are kept in versions/",
        )
    rows = [row for row in adherence["principles"] if isinstance(row, Mapping)]
    return {str(row.get("principle")): row for row in rows}


def _tests(report: Mapping[str, Any]) -> dict[str, str]:
    listed = report["constitution"].get("principles") or []
    return {str(one["id"]): one["tests_sha"] for one in listed if "tests_sha" in one}
