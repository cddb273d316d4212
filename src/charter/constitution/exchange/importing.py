"""One door for every format that a constitution can come from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from charter.constitution.constitution import read_text
from charter.constitution.exchange.annotated_pairs_import import read_annotated_pairs
from charter.constitution.exchange.hf_constitutions import read_hf_constitutions
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.inverse import read_principle_list
from charter.constitution.exchange.json_source import looks_like_json, read_objects, read_value
from charter.constitution.exchange.model_spec import read_model_spec
from charter.constitution.exchange.open_character import read_open_character
from charter.constitution.exchange.plain_list import read_plain_list
from charter.constitution.exchange.speceval import read_speceval
from charter.errors import ConstitutionError, did_you_mean

Reader = Callable[[str, str, ImportOptions], Imported]

FORMATS: Mapping[str, Reader] = {
    "model-spec": read_model_spec,
    "speceval": read_speceval,
    "hf-constitutions": read_hf_constitutions,
    "principle-list": read_principle_list,
    "annotated-pairs": read_annotated_pairs,
    "open-character": read_open_character,
    "plain-list": read_plain_list,
}
"""Every format by its name."""

_ID = re.compile(r"^ {0,3}#{1,6}[ \t].*\{#[A-Za-z0-9_]", re.MULTILINE)
_NO_OPTIONS = ImportOptions()


def import_file(
    path: str | os.PathLike[str], format: str = "", options: ImportOptions = _NO_OPTIONS
) -> Imported:
    """Read ``path`` as ``format``; "" = by what the file looks like.

    Raises:
        ConstitutionError: no such file or format; a source that is wrong, with ``file:line``.
    """
    return import_text(read_text(path), os.fspath(path), format, options)


def import_text(
    text: str, path: str = "source", format: str = "", options: ImportOptions = _NO_OPTIONS
) -> Imported:
    """As :func:`import_file`, of a text; ``path`` names it.

    Raises:
        ConstitutionError: as there.
    """
    if format and format not in FORMATS:
        raise ConstitutionError(f"unknown format {format!r}", where=path, fix=did_you_mean(format, FORMATS))
    if not text.removeprefix("\ufeff").strip():
        raise ConstitutionError("the file is empty", where=path)
    found = format or detect(text, path)
    if options.tests and found != "model-spec":
        raise ConstitutionError("test prompts belong to a Model Spec", where=path, fix="leave --tests away")
    return FORMATS[found](text, path, options)


def detect(text: str, path: str) -> str:
    """The format that ``text`` looks like.

    Raises:
        ConstitutionError: JSON that is none of the formats.
    """
    if not looks_like_json(text):
        return "model-spec" if text.startswith("---\n") or _ID.search(text) else "plain-list"
    first, whole = _first(text, path)
    if isinstance(first, str):
        return "principle-list"
    if isinstance(first, dict):
        for format, keys in _KEYS.items():
            if keys <= first.keys():
                return format
        if whole and first and all(isinstance(value, str) for value in first.values()):
            return "principle-list"
    raise ConstitutionError("JSON of no known format", where=path, fix="name one with --format")


_KEYS: Mapping[str, set[str]] = {
    "annotated-pairs": {"annotators", "comparisons"},
    "hf-constitutions": {"constitutions"},
    "open-character": {"trait"},
    "speceval": {"id", "text"},
}


def _first(text: str, path: str) -> tuple[Any, bool]:
    """The first object or text of a file, and whether it is the whole of it."""
    start = text.lstrip("\ufeff \t\r\n")
    if start[:1] == "[":
        value = read_value(text, path)
        return (value[0] if value else None), False
    if start[:1] == '"':
        return "", True
    line = start.split("\n", 1)[0]
    if looks_like_json(line) and line.rstrip().endswith("}"):
        return read_objects(line, path)[0].values, start.strip() == line.strip()
    return read_value(text, path), True
