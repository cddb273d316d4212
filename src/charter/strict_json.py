"""JSON as it is meant: a key once in an object, and no ``NaN`` or ``Infinity``."""

from __future__ import annotations

import json
from typing import Any


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} appears twice")
    return values


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON; write null")


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
"""Raises ``ValueError`` with what is wrong; ``json.JSONDecodeError``, with a column, for bad syntax."""
