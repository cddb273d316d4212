"""Which principle is used where: decided by a seed and by what is asked, never by the order of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from charter.constitution import Constitution, Principle
from charter.errors import ConfigError, ConstitutionError, did_you_mean
from charter.feedback.rules.constitution import prompt_of, tags_of
from charter.feedback.rules.rules import applies
from charter.types import Group


def usable(constitution: Constitution, only: Sequence[str] = ()) -> list[Principle]:
    """Active principles that ask something of an answer; a definition asks nothing.

    Args:
        constitution: where they come from.
        only: ids of those wanted; empty = all.

    Raises:
        ConstitutionError: there is none.
        ConfigError: ``only`` names one that is not there, retired, or a definition.
    """
    found = [one for one in constitution.active if one.type != "definition"]
    known = {one.id: one for one in found}
    if not known:
        raise ConstitutionError("no active principle asks anything of an answer", where=constitution.path)
    for name in only:
        if name not in known:
            raise ConfigError(
                f"no active principle {name!r} in {constitution.path}; {did_you_mean(name, known)}",
                where="principles",
            )
    return [known[name] for name in dict.fromkeys(only)] if only else found


def about(principles: Sequence[Principle], group: Group) -> list[Principle]:
    """Those that are about the group's prompt; one whose rules do not say when it applies always is."""
    prompt, tags = prompt_of(group.samples[0].context), tags_of(group)
    return [one for one in principles if one.rules is None or applies(one.rules.applies_when, prompt, tags)]


def drawn(principles: Sequence[Principle], count: int, *, seed: int, key: str) -> list[Principle]:
    """``count`` principles in random order; none comes again before all have come.

    Each principle has a random rank of its own, so one that is added to a constitution moves no other.

    Args:
        principles: to draw from.
        count: how many.
        seed: decides, together with ``key``.
        key: what they are drawn for.
    """
    if not principles:
        return []
    ranked = sorted(principles, key=lambda one: _rank(seed, key, one.id))
    return [ranked[number % len(ranked)] for number in range(count)]


def _rank(seed: int, key: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{key}\x1f{name}".encode()).digest()
