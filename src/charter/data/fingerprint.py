"""Content hashes: what a cache of prepared data may be keyed on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from charter.data.rows import Row


def fingerprint(rows: Iterable[Row | Mapping[str, Any]]) -> str:
    """sha256 of the rows' columns and values, in order; file names and key order do not count."""
    digest = hashlib.sha256()
    for row in rows:
        values = row.values if isinstance(row, Row) else row
        line = json.dumps(dict(values), sort_keys=True, ensure_ascii=True, default=repr)
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
