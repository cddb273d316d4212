"""Raters under names that are not their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

UNKNOWN = "unknown"


def pseudonym(who: Any, prefix: str = "rater") -> str:
    """A name for labels: numbers and ids are kept, an address becomes a hash of itself."""
    if isinstance(who, Mapping):
        who = who.get("id", who.get("email", who.get("username")))
    if who is None or who == "":
        return UNKNOWN
    name = str(who).strip()
    if "@" in name:
        return f"{prefix}-{hashlib.sha256(name.casefold().encode()).hexdigest()[:12]}"
    return f"{prefix}-{name}" if name.isdecimal() else name
