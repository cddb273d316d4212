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


def cache_key(rows_sha: str, template_sha: str, **options: Any) -> str:
    """sha256 of the data, of the tokenizer and template, and of every option that changes the result.

    Args:
        rows_sha: :func:`fingerprint` of the rows.
        template_sha: ``Template.fingerprint``.
        options: lengths, truncation mode and the like.
    """
    text = json.dumps([rows_sha, template_sha, options], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
