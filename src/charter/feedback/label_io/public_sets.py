"""Public preference sets and surveys, by the adapters of the data layer."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from charter.data.public.opinions import read_opinions
from charter.data.public.schema import PublicSet
from charter.data.rows import Rows
from charter.errors import DataError
from charter.feedback.label_io.imported import Collector


def read_set(rows: Rows, found: Collector, public: PublicSet) -> None:
    """Hand every label of the set to ``found``."""
    named = True
    for row in rows.rows:
        try:
            read = public.read_row(row)
        except DataError as error:
            found.skip(error.where or row.source, error.what)
            continue
        for why in read.left_out:
            found.skip(row.source, why)
        for label in read.labels:
            named = named and label.meta.get("rater_known") is not False
            found.add(row.source, **{one.name: getattr(label, one.name) for one in fields(label)})
    if not named:
        found.note("the set does not name its raters: what compares raters cannot use it")


def read_targets(rows: Rows, found: Collector) -> tuple[dict[str, Any], ...]:
    """The distributions of a survey: of groups, and no person's label."""
    targets: list[dict[str, Any]] = []
    for row in rows.rows:
        try:
            read, left_out = read_opinions(row)
        except DataError as error:
            found.skip(error.where or row.source, error.what)
            continue
        targets += [one.to_json() for one in read]
        for why in left_out:
            found.skip(row.source, why)
    found.note("shares of groups are no person's labels: they are targets of `distribution` tests")
    return tuple(targets)
