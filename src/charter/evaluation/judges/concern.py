"""Which prompts a principle is judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from charter.constitution import Principle
from charter.evaluation.rates.basis import Basis
from charter.types import Group

TESTS_OF = "tests_of"
"""Key of a prompt's ``meta``: ids of the principles whose tests ask it. Prompts of a file have none."""


NO_TEST = "none of the tests is about it: it has none of its own, and does not say when it applies"


def concerns(principle: Principle, group: Group) -> bool:
    """Whether ``principle`` is judged on the answers to this prompt.

    On prompts of a file, always. On the constitution's own tests a principle that does not say when it
    applies is judged on its own tests alone: the tests of others seldom put it to the test, and a rate over
    all of them would mostly say how harmless those are.
    """
    own = group.meta.get(TESTS_OF)
    return own is None or principle.id in own or says_when(principle)


def says_when(principle: Principle) -> bool:
    """Whether the principle says itself which prompts it is about."""
    if principle.rules is not None:
        return principle.rules.applies_when is not None
    return principle.rubric is not None and bool(principle.rubric.applies_when)


def asked_about(
    bases: Mapping[str, Basis], principles: Sequence[Principle], prompts: Sequence[Group]
) -> dict[str, Basis]:
    """The bases, of which those of principles that no prompt is about say so."""
    found = dict(bases)
    for one in principles:
        if found[one.id].measures and not any(concerns(one, group) for group in prompts):
            found[one.id] = replace(found[one.id], evidence="untested", why=NO_TEST)
    return found
