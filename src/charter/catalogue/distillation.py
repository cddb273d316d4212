"""Learning from a teacher's distributions: context distillation and its relatives."""

from __future__ import annotations

from charter.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
