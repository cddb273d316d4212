"""Public preference sets and surveys, by the adapters of the data layer."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from charter.data.public.opinions import survey_rows
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
    """The rows of a survey: shares of groups, and no person's label."""
    targets, left_out = survey_rows(rows.rows)
    for where, why in left_out:
        found.skip(where, why)
    found.note(
        "shares of groups are no person's labels: these are rows of a survey, for charter pluralism and gpo"
    )
    return tuple(targets)
