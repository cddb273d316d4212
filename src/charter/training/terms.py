"""From a catalogue entry, or a user's own loss, to weighted terms."""

from __future__ import annotations

import importlib
from typing import Any

from charter.catalogue.entry import Entry
from charter.catalogue.options import TrainOptions
from charter.training.step import WeightedTerm


def terms_of(entry: Entry, options: TrainOptions) -> tuple[WeightedTerm, ...]:
    """The entry's objectives with their options bound; a term whose weight is 0 or absent is left out."""
    terms = []
    for spec in entry.terms:
        weight = getattr(options, spec.weight) if isinstance(spec.weight, str) else spec.weight
        if not weight:
            continue
        values = {name: getattr(options, name) for name in spec.options}
        terms.append(WeightedTerm(by_name(spec.objective)(**values, **spec.fixed), weight))
    return tuple(terms)


def by_name(dotted: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)
