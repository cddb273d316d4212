"""Read and check ``report.json`` and what lies beside it; the format is ``schema.md`` beside this file.

Optional parts may be missing and stay missing: nothing is ever filled in with 0.
A wrong type, a rate outside [0, 1] or a newer schema is an error that names the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.reporting.node import Node
from charter.reporting.report import Constitution, Report
from charter.reporting.section import FILES, Source
from charter.reporting.sections.order import SECTIONS
from charter.reporting.sections.taught import read_data

SCHEMA = 1


def read_report(run: Path) -> Report:
    """The report of a run directory, with the parts that lie beside ``report.json``.

    Raises:
        UserError: no such run, a run without report, or a file that is damaged.
    """
    if not run.is_dir():
        raise UserError("no such run directory", where=str(run), fix="check the path")
    path = run / "report.json"
    if not path.exists():
        raise UserError(
            "this run has no report.json: it was not evaluated",
            where=str(run),
            fix="finish it with 'charter run RECIPE.yaml', which goes on where it stopped",
        )
    found = {name: run / f"{name}.json" for name in FILES}
    files = {name: (_json(place), str(place)) for name, place in found.items() if place.exists()}
    return parse_report(_json(path), where=str(path), files=files)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"report cannot be read: {error}", where=str(path), fix="evaluate again to write it anew"
        ) from None


def parse_report(
    value: Any, *, where: str = "report.json", files: Mapping[str, tuple[Any, str]] | None = None
) -> Report:
    """Check a report's JSON value.

    Args:
        value: of ``report.json``.
        where: the file, for errors.
        files: values of files beside it and where they lie, by part.

    Raises:
        UserError: with the key that is wrong.
    """
    node = Node(value, where)
    schema = node.count("schema")
    if schema != SCHEMA:
        raise UserError(
            f"schema is {schema!r}, but this version reads {SCHEMA}",
            where=where,
            fix="use the version of Charter that wrote the run, or evaluate again",
        )
    source = Source(node, {name: Node(part, at, name) for name, (part, at) in (files or {}).items()})
    found = {section.name: section.read(source) for section in SECTIONS}
    constitution, models = node.child("constitution"), node.child("models")
    aligned = models.child("aligned")
    return Report(
        title=node.text("title", "Adherence report"),
        note=node.text("note"),
        created=node.text("created"),
        constitution=Constitution(*(constitution.text(key) for key in ("name", "version", "sha", "path"))),
        base=models.child("base").text("name"),
        aligned=aligned.text("name"),
        algorithm=aligned.text("algorithm") or node.child("training").text("algorithm"),
        judge=node.child("judge").text("name"),
        flags=node.texts("flags"),
        data=read_data(node),
        sections={name: part for name, part in found.items() if part is not None},
    )
