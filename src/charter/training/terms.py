"""From a catalogue entry, or a user's own loss, to weighted terms."""

from __future__ import annotations

import importlib

from charter.catalogue.entry import Entry
from charter.catalogue.options import TrainOptions
from charter.training.step import WeightedTerm


def terms_of(entry: Entry, options: TrainOptions) -> tuple[WeightedTerm, ...]:
    """The entry's objectives with their options bound."""
    terms = []
    for spec in entry.terms:
        module, _, name = spec.objective.partition(":")
        objective = getattr(importlib.import_module(module), name)
        terms.append(WeightedTerm(objective(**{k: getattr(options, k) for k in spec.options}), spec.weight))
    return tuple(terms)
