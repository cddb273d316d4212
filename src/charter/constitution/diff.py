"""What changed between two versions of a constitution, what must be measured again, and the version due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from charter.constitution.cases import Case, Conflict
from charter.constitution.constitution import Constitution
from charter.constitution.principle import Principle
from charter.constitution.versions import Bump, bump_between, largest, next_version

Kind = Literal[
    "added",
    "removed",
    "retired",
    "reinstated",
    "moved",
    "reworded",
    "re-ruled",
    "re-rubricked",
    "re-exampled",
    "re-tested",
    "re-weighted",
    "hardened",
    "softened",
    "re-typed",
    "re-tagged",
    "re-explained",
    "re-sourced",
]
"""``reworded``: title or statement; ``re-explained``: the reason; ``re-sourced``: provenance."""

_FIELDS: Mapping[str, Kind] = {
    "level": "moved",
    "title": "reworded",
    "text": "reworded",
    "rules": "re-ruled",
    "rubric": "re-rubricked",
    "examples": "re-exampled",
    "tests": "re-tested",
    "weight": "re-weighted",
    "type": "re-typed",
    "tags": "re-tagged",
    "rationale": "re-explained",
    "provenance": "re-sourced",
}
_MAJOR_SETTINGS = ("levels", "override")
_OTHER = "the principle is not the one that was judged"
_IDLE = "the principle is in force again"
_REJUDGED = "models judge otherwise"


@dataclass(frozen=True, slots=True)
class Change:
    """One value before and after; None where there was or is none."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class PrincipleChange:
    """What became of one principle.

    Attributes:
        kinds: see :data:`Kind`, in that order.
        old_sha: fingerprint before; "" for an added one.
        new_sha: fingerprint after; "" for a removed one.
        changes: each field before and after.
        same_as: for an added principle, the removed one that said the same under another id.
        bump: the version change that it calls for.
        why: why it calls for more than a patch, or "".
    """

    id: str
    kinds: tuple[Kind, ...]
    old_sha: str
    new_sha: str
    changes: tuple[Change, ...]
    same_as: str
    bump: Bump
    why: str

    @property
    def sha_changed(self) -> bool:
        """Are judgements of the old one void?"""
        return self.old_sha != self.new_sha


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


@dataclass(frozen=True, slots=True)
class Difference:
    """Two versions compared. Prose that belongs to no principle is not looked at.

    Attributes:
        old_version: version of the old file.
        new_version: version of the new file.
        old_sha: fingerprint of the old one.
        new_sha: fingerprint of the new one.
        principles: those that changed, in the order of the new file, removed ones last.
        settings: front matter that changed, except the version.
        rerun: what must be measured again.
        bump_due: the version change that is due.
        bump_made: the version change that was made; ``backwards`` when the version fell.
        version_due: the version the new file should at least have.
    """

    old_version: str
    new_version: str
    old_sha: str
    new_sha: str
    principles: tuple[PrincipleChange, ...]
    settings: tuple[Change, ...]
    rerun: tuple[Rerun, ...]
    bump_due: Bump
    bump_made: Bump | Literal["backwards"]
    version_due: str

    @property
    def version_ok(self) -> bool:
        """Does the new file's version say what changed?"""
        if self.bump_made == "backwards":
            return False
        return largest((self.bump_due, self.bump_made)) == self.bump_made

    @property
    def same(self) -> bool:
        """Did nothing change that this looks at?"""
        return not self.principles and not self.settings

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        found = asdict(self)
        for row, change in zip(found["principles"], self.principles, strict=True):
            row["sha_changed"] = change.sha_changed
        return {**found, "version_ok": self.version_ok, "same": self.same}


def diff(old: Constitution, new: Constitution) -> Difference:
    """Compare two versions of a constitution."""
    before = {principle.id: principle for principle in old.principles}
    after = {principle.id: principle for principle in new.principles}
    changed = [
        change
        for principle in new.principles
        if (change := _compare(before.get(principle.id), principle)) is not None
    ]
    gone = {id: principle for id, principle in before.items() if id not in after}
    twins = {principle.sha: id for id, principle in gone.items()}
    changes = [_with_twin(change, twins) for change in changed]
    changes += [_removed(principle) for principle in gone.values()]
    settings = _settings(old, new)
    due = largest(
        [change.bump for change in changes]
        + ["major" if change.field.split(".")[0] in _MAJOR_SETTINGS else "patch" for change in settings]
    )
    return Difference(
        old_version=old.version,
        new_version=new.version,
        old_sha=old.sha,
        new_sha=new.sha,
        principles=tuple(changes),
        settings=tuple(settings),
        rerun=tuple(_rerun(old, new)),
        bump_due=due,
        bump_made=bump_between(old.version, new.version),
        version_due=next_version(old.version, due),
    )


# -- principles ---------------------------------------------------------------


def _compare(old: Principle | None, new: Principle) -> PrincipleChange | None:
    if old is None:
        bump: Bump = "major" if new.hard else "minor"
        why = "a hard rule came" if new.hard else "a principle came"
        return PrincipleChange(new.id, ("added",), "", new.sha, (), "", bump, why)
    changes = tuple(_changes(old, new))
    if not changes:
        return None
    kinds = _kinds(changes)
    bump, why = _bump(old, new, kinds)
    return PrincipleChange(new.id, kinds, old.sha, new.sha, changes, "", bump, why)


def _removed(old: Principle) -> PrincipleChange:
    bump: Bump = "major" if old.hard else "minor"
    why = "a hard rule went" if old.hard else "a principle went"
    return PrincipleChange(old.id, ("removed",), old.sha, "", (), "", bump, why)


def _with_twin(change: PrincipleChange, twins: Mapping[str, str]) -> PrincipleChange:
    if "added" not in change.kinds or change.new_sha not in twins:
        return change
    return replace(change, same_as=twins[change.new_sha])


def _changes(old: Principle, new: Principle) -> list[Change]:
    before, after = old.to_dict(), new.to_dict()
    names = ["status", "hard", *_FIELDS]
    return [Change(name, before[name], after[name]) for name in names if before[name] != after[name]]


def _kinds(changes: tuple[Change, ...]) -> tuple[Kind, ...]:
    found: list[Kind] = []
    for change in changes:
        kind: Kind
        if change.field == "status":
            kind = "reinstated" if change.after == "active" else "retired"
        elif change.field == "hard":
            kind = "hardened" if change.after else "softened"
        else:
            kind = _FIELDS[change.field]
        if kind not in found:
            found.append(kind)
    return tuple(found)


def _bump(old: Principle, new: Principle, kinds: tuple[Kind, ...]) -> tuple[Bump, str]:
    """Major: a level or a hard rule changed; minor: a principle came or went; patch: the rest."""
    if "moved" in kinds:
        return "major", "the level changed"
    if old.hard != new.hard:
        return "major", "a hard rule came" if new.hard else "a hard rule is none any more"
    came_or_went = "retired" in kinds or "reinstated" in kinds
    if new.hard and (came_or_went or old.sha != new.sha):
        return "major", "a hard rule changed"
    if came_or_went:
        return "minor", "a principle came" if new.active else "a principle went"
    return "patch", ""


# -- front matter -------------------------------------------------------------


def _settings(old: Constitution, new: Constitution) -> list[Change]:
    before = _flat(old.front.model_dump(mode="json", exclude={"version"}))
    after = _flat(new.front.model_dump(mode="json", exclude={"version"}))
    keys = list(dict.fromkeys([*before, *after]))
    return [Change(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


# -- what to measure again ----------------------------------------------------


def _rerun(old: Constitution, new: Constitution) -> list[Rerun]:
    """Tests that are new or changed, or whose principle, rival or judge is not what it was."""
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
    return found


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
