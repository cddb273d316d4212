"""What became of one principle between two versions, and the version change it calls for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from charter.constitution.principle import Principle
from charter.constitution.versions import Bump

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


def compared(old: Principle | None, new: Principle) -> PrincipleChange | None:
    """What became of ``old``; None when nothing did."""
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


def removed(old: Principle) -> PrincipleChange:
    """``old`` is in the file no more."""
    bump: Bump = "major" if old.hard else "minor"
    why = "a hard rule went" if old.hard else "a principle went"
    return PrincipleChange(old.id, ("removed",), old.sha, "", (), "", bump, why)


def with_twin(change: PrincipleChange, twins: Mapping[str, str]) -> PrincipleChange:
    """An added principle with the id, by fingerprint, of a removed one that said the same."""
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
