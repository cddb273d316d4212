"""Methods on answers labelled one by one: KTO, BCO, APO-zero."""

from __future__ import annotations

from charter.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
