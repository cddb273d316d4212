"""Every public set by its name, and which one a file is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charter.data.public.helpsteer import HELPSTEER, HELPSTEER2, HELPSTEER3
from charter.data.public.hh import HH
from charter.data.public.oasst import OASST
from charter.data.public.safe_rlhf import BEAVERTAILS, SAFE_RLHF
from charter.data.public.schema import PublicSet
from charter.data.public.shp import SHP
from charter.data.public.tldr import TLDR, TLDR_AXES
from charter.data.public.ultrafeedback import ULTRAFEEDBACK
from charter.data.rows import Row, Rows
from charter.errors import DataError

PUBLIC: Mapping[str, PublicSet] = {
    one.name: one
    for one in (
        HH,
        SHP,
        OASST,
        ULTRAFEEDBACK,
        TLDR,
        TLDR_AXES,
        SAFE_RLHF,
        BEAVERTAILS,
        HELPSTEER,
        HELPSTEER2,
        HELPSTEER3,
    )
}


def fitting(values: Mapping[str, Any]) -> list[PublicSet]:
    """The sets whose schema a row has."""
    return [one for one in PUBLIC.values() if one.fits(values)]


def recognise(rows: Sequence[Row]) -> PublicSet | None:
    """The one set whose schema every row has; None where there is none, or more than one."""
    found = fitting(rows[0].values) if rows else []
    if len(found) != 1:
        return None
    return found[0] if all(found[0].fits(row.values) for row in rows[1:]) else None


def as_rows(rows: Rows, kinds: Iterable[str]) -> tuple[Rows, dict[str, int]] | None:
    """Rows of a public set as rows to train on, in the first of ``kinds`` that the set has.

    Returns:
        the rows and what was left out, by reason; None where the file is no public set, or has none of the
        kinds.

    Raises:
        DataError: the file is a public set, and no row of it can be used.
    """
    public = recognise(rows.rows)
    if public is None:
        return None
    wanted = list(kinds)
    made: dict[str, list[Row]] = {}
    counts: dict[str, int] = {}
    first: DataError | None = None
    for row in rows.rows:
        try:
            read = public.read_row(row)
        except DataError as error:
            first = first or error
            reason = f"{public.name}: rows that cannot be read, left out"
            counts[reason] = counts.get(reason, 0) + 1
            continue
        for why in read.left_out:
            counts[f"{public.name}: {why}"] = counts.get(f"{public.name}: {why}", 0) + 1
        for kind, values in read.rows.items():
            made.setdefault(kind, []).extend(Row(one, row.source) for one in values)
    offered = next((one for one in wanted if one in made), None)
    if offered is None:
        if made or first is None:
            return None
        raise DataError(f"no row of this {public.name} file can be used, first: {first}", where=rows.name)
    counts = {f"read as {public.name}: {public.title}": len(rows.rows), **counts}
    return Rows(tuple(made[offered]), rows.bad, rows.name), counts
