"""Every format that labels are read from, and how a file's own is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from charter.data.public.opinions import fits_opinions
from charter.data.public.registry import PUBLIC
from charter.data.read import read_rows
from charter.data.rows import Rows
from charter.errors import DataError, did_you_mean
from charter.feedback.label_io import arena, argilla, implicit, label_studio, label_studio_min, table
from charter.feedback.label_io.implicit_rules import read_rules
from charter.feedback.label_io.imported import Collector, Imported
from charter.feedback.label_io.public_sets import read_set, read_targets
from charter.feedback.label_io.question_map import read_question_map

OPINIONS, EVENTS = "opinions", "events"

_READERS: dict[str, tuple[Callable[[Mapping[str, Any]], bool], Callable[[Rows, Collector], None]]] = {
    "label-studio": (label_studio.fits, label_studio.read),
    "label-studio-min": (label_studio_min.fits, label_studio_min.read),
    "argilla": (argilla.fits, argilla.read),
    "lmarena": (arena.fits, arena.read),
    "table": (table.fits_long, table.read_long),
    "csv": (table.fits_simple, table.read_simple),
}

FORMATS: tuple[str, ...] = (*_READERS, EVENTS, *PUBLIC, OPINIONS)
"""What ``--format`` may be."""


def detect_format(rows: Rows) -> str:
    """The one format whose form the first row has.

    Raises:
        DataError: none, or more than one.
    """
    values = rows.rows[0].values
    found = [name for name, (fits, _) in _READERS.items() if fits(values)]
    found += [EVENTS] * implicit.fits(values)
    found += [name for name, public in PUBLIC.items() if public.fits(values)]
    found += [OPINIONS] * fits_opinions(values)
    if len(found) == 1:
        return found[0]
    if found:
        said = f"this could be {' or '.join(found)}"
    else:
        columns = ", ".join(sorted(values)) or "none"
        said = f"not one of the formats that are known by their form; columns: {columns}"
    raise DataError(said, where=rows.rows[0].source, fix=f"give --format with one of {', '.join(FORMATS)}")


def import_labels(
    path: str | Path,
    format: str = "",
    *,
    question_map: Path | None = None,
    rules: Path | None = None,
) -> Imported:
    """Read labels from ``path``.

    Args:
        path: JSON, JSON Lines, CSV, TSV or Parquet.
        format: one of :data:`FORMATS`; "" = told by the first row.
        question_map: a file that says which field is what; see :mod:`charter.feedback.label_io.question_map`.
        rules: a file of rules for events; see :mod:`charter.feedback.label_io.implicit_rules`.

    Raises:
        DataError: the file cannot be read, its format is not known, or not one label was in it.
        ConfigError: the map or the rules are wrong.
    """
    if format and format not in FORMATS:
        raise DataError(f"unknown format {format!r}", fix=did_you_mean(format, FORMATS))
    rows = read_rows(Path(path), on_bad="skip")
    name = format or detect_format(rows)
    if rules is not None and name != EVENTS:
        raise DataError(f"rules have no effect on {name}", where=str(rules))
    found = Collector(read_question_map(question_map))
    targets: tuple[dict[str, Any], ...] = ()
    if name == EVENTS:
        implicit.read(rows, found, read_rules(rules))
    elif name == OPINIONS:
        targets = read_targets(rows, found)
    elif name in PUBLIC:
        read_set(rows, found, PUBLIC[name])
    else:
        _READERS[name][1](rows, found)
    done = replace(found.done(name, rows), targets=targets)
    if not done.labels and not targets:
        reasons = "; ".join(f"{why} ({len(places)}, {places[0]})" for why, places in done.reasons.items())
        raise DataError(f"not one label: {reasons or 'the file holds none'}", where=str(path))
    return done
