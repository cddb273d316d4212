"""Prompts in whatever form a person gives them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from charter.data.formats import LoadedData, groups_of, load_groups
from charter.data.read import read_rows
from charter.types import Group

Prompts = str | Path | Sequence[str] | Sequence[Mapping[str, Any]] | Sequence[Group]
"""A file, texts, rows with a ``prompt``, or groups."""


def read_prompts(prompts: Prompts) -> LoadedData:
    """Prompts as groups; plain texts become user turns.

    Raises:
        DataError: a file or row that is wrong.
    """
    if isinstance(prompts, (str, Path)):
        return load_groups(str(prompts), "prompts")
    listed = list(prompts)
    if listed and all(isinstance(p, Group) for p in listed):
        groups = tuple(p for p in listed if isinstance(p, Group))
        bare = tuple(replace(g, samples=(g.samples[0],)) for g in groups)
        return LoadedData(bare, {}, "prompts", "prompts")
    rows = [{"prompt": [{"role": "user", "content": p}]} if isinstance(p, str) else p for p in _rows(listed)]
    return groups_of(read_rows(rows), "prompts")


def _rows(listed: Iterable[Any]) -> list[Any]:
    return [json.loads(json.dumps(row)) if isinstance(row, Mapping) else row for row in listed]
