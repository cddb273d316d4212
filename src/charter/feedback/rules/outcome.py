"""What a rule says."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """Passed, failed, or (``None``) abstained; and why, in words for people."""

    passed: bool | None
    reason: str


class RuleError(Exception):
    """A rule could not be applied: its code broke, which says nothing about the answer."""


def passed(reason: str) -> Outcome:
    """The answer passes."""
    return Outcome(True, reason)


def failed(reason: str) -> Outcome:
    """The answer fails."""
    return Outcome(False, reason)


def abstained(reason: str) -> Outcome:
    """The rule cannot tell."""
    return Outcome(None, reason)
