"""The algorithms: one entry each. ``charter algorithms`` prints this table, the loop runs it."""

from __future__ import annotations

from charter.catalogue.entry import Entry, TermSpec
from charter.catalogue.options import TrainOptions
from charter.catalogue.preference import DPO
from charter.catalogue.supervised import SFT
from charter.errors import ConfigError, did_you_mean

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in (SFT, DPO)}

__all__ = ["ENTRIES", "Entry", "TermSpec", "TrainOptions", "lookup"]


def lookup(name: str, *, where: str | None = None) -> Entry:
    """The entry called ``name``; ``where`` is the place that names it.

    Raises:
        ConfigError: there is none, with the nearest name.
    """
    if name not in ENTRIES:
        raise ConfigError(f"no algorithm {name!r}; {did_you_mean(name, ENTRIES)}", where=where)
    return ENTRIES[name]
