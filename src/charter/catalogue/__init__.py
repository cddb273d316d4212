"""The algorithms: one entry each. ``charter algorithms`` prints this table, the loop runs it."""

from __future__ import annotations

from charter.catalogue import (
    actor_critic,
    distillation,
    generative,
    listwise,
    nash,
    online_preference,
    online_rounds,
    other_reference,
    own_pairs,
    own_samples,
    pluralistic,
    policy_gradient,
    preference,
    preference_anchored,
    preference_extended,
    preference_variants,
    process,
    reference_free,
    reinforce,
    reward,
    supervised,
    unpaired,
)
from charter.catalogue.entry import Entry, TermSpec
from charter.catalogue.options import TrainOptions
from charter.errors import ConfigError, did_you_mean

_FAMILIES = (
    supervised,
    distillation,
    reward,
    process,
    generative,
    preference,
    preference_variants,
    preference_extended,
    preference_anchored,
    reference_free,
    other_reference,
    listwise,
    unpaired,
    pluralistic,
    policy_gradient,
    reinforce,
    actor_critic,
    online_preference,
    nash,
    online_rounds,
    own_samples,
    own_pairs,
)

ENTRIES: dict[str, Entry] = {entry.name: entry for family in _FAMILIES for entry in family.ENTRIES}

__all__ = ["ENTRIES", "Entry", "TermSpec", "TrainOptions", "lookup"]


def lookup(name: str, *, where: str | None = None) -> Entry:
    """The entry called ``name``; ``where`` is the place that names it.

    Raises:
        ConfigError: there is none, with the nearest name.
    """
    if name not in ENTRIES:
        raise ConfigError(f"no algorithm {name!r}; {did_you_mean(name, ENTRIES)}", where=where)
    return ENTRIES[name]
