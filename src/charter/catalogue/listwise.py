"""Preference methods on more than two answers, or with more than one objective."""

from __future__ import annotations

from charter.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
