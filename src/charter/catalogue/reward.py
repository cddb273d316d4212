"""Reward models: a scalar or vector head on the language model."""

from __future__ import annotations

from charter.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
