"""What changed between two versions of a constitution, what must be measured again, and the version due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from charter.constitution.constitution import Constitution
from charter.constitution.diff_principles import Change, PrincipleChange, compared, removed, with_twin
from charter.constitution.diff_rerun import Rerun, affected
from charter.constitution.versions import Bump, bump_between, largest, next_version

_SETTING_BUMPS: Mapping[str, Bump] = {"levels": "major", "override": "major", "amend": "minor"}
"""What a change of a front matter key calls for, where it is more than a patch."""


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
        if (change := compared(before.get(principle.id), principle)) is not None
    ]
    gone = {id: principle for id, principle in before.items() if id not in after}
    twins = {principle.sha: id for id, principle in gone.items()}
    changes = [with_twin(change, twins) for change in changed]
    changes += [removed(principle) for principle in gone.values()]
    settings = _settings(old, new)
    due = largest(
        [change.bump for change in changes]
        + [_SETTING_BUMPS.get(change.field.split(".")[0], "patch") for change in settings]
    )
    return Difference(
        old_version=old.version,
        new_version=new.version,
        old_sha=old.sha,
        new_sha=new.sha,
        principles=tuple(changes),
        settings=tuple(settings),
        rerun=affected(old, new),
        bump_due=due,
        bump_made=bump_between(old.version, new.version),
        version_due=next_version(old.version, due),
    )


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
