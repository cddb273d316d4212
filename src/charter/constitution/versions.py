"""Versions of a constitution: major, minor, patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Bump = Literal["none", "patch", "minor", "major"]
_ORDER: tuple[Bump, ...] = ("none", "patch", "minor", "major")


def largest(bumps: Iterable[Bump]) -> Bump:
    """The one that says most; ``none`` of nothing."""
    return max(bumps, key=_ORDER.index, default="none")


def bump_between(old: str, new: str) -> Bump | Literal["backwards"]:
    """The first place in which two versions differ."""
    before, after = _numbers(old), _numbers(new)
    if after < before:
        return "backwards"
    places = (place for place, (one, other) in enumerate(zip(before, after, strict=True)) if one != other)
    return _ORDER[3 - next(places, 3)]


def next_version(version: str, bump: Bump) -> str:
    """``version`` raised; what stands behind the raised place is 0."""
    major, minor, patch = _numbers(version)
    if bump == "major":
        return f"{major + 1}.0.0"
    if bump == "minor":
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}" if bump == "patch" else version


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)
