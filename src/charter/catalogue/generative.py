"""Generative reward models: the judgement is text, or the probability of a word."""

from __future__ import annotations

from charter.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
