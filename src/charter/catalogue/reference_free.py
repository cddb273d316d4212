"""Preference methods without a reference: CPO, SimPO, AlphaPO, ORPO, SLiC-HF."""

from __future__ import annotations

from charter.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
