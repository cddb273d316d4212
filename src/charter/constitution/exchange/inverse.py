"""What an inverse constitution gives (ICAI, 2406.06560): a list of principles in JSON.

A text with one numbered principle a line (``060_constitution.json``), a list of texts
(``050_filtered_principles.json``), or texts by number (``030_..._per_cluster.json``).
"""

from __future__ import annotations

import re
from typing import Any

from charter.constitution.exchange.builder import Builder
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.json_source import read_value
from charter.constitution.exchange.naming import title_of
from charter.constitution.principle import Principle
from charter.errors import ConstitutionError

FORMAT = "principle-list"
_NUMBER = re.compile(r"^\s*\d+[.)]\s+")
_SELECT = re.compile(r"^\s*select the (?:response|answer|output) (?:that|which)\s+", re.IGNORECASE)


def read_principle_list(text: str, path: str, options: ImportOptions) -> Imported:
    """A constitution from a JSON list of principles.

    Raises:
        ConstitutionError: not such JSON, or an entry that is no text or empty.
    """
    builder = Builder(path, options, (options.level,))
    entries = _entries(read_value(text, path), path)
    seen: dict[str, str] = {}
    for where, said in entries:
        if not isinstance(said, str) or not said.strip():
            raise ConstitutionError("a principle is a text that is not empty", where=where)
        key = " ".join(said.casefold().split())
        if key in seen:
            builder.left_out(where, f"the same as {seen[key]}")
            continue
        seen[key] = where
        title = selected_title(said)
        builder.add(
            Principle(
                id=builder.id_for(where, "", title),
                title=builder.title(where, title),
                level=options.level,
                text=builder.statement(where, said.strip()),
                line=0,
            )
        )
    return builder.done(FORMAT, {"entries read": len(entries)})


def selected_title(principle: str) -> str:
    """``Select the response that is brief.`` as ``Is brief``."""
    short = title_of(_SELECT.sub("", principle.strip()))
    return short[:1].upper() + short[1:]


def _entries(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, str):
        lines = [line for line in value.split("\n") if line.strip()]
        return [(f"{path}, entry {n}", _NUMBER.sub("", line)) for n, line in enumerate(lines, start=1)]
    if isinstance(value, list):
        return [(f"{path}, entry {n}", said) for n, said in enumerate(value, start=1)]
    if isinstance(value, dict):
        return [(f"{path}, key {key!r}", said) for key, said in value.items()]
    raise ConstitutionError(
        "expected a list of principles, texts by number, or one text with a principle a line", where=path
    )
