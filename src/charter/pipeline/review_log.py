"""``reviews.jsonl``: what people said of a run, a line each, only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from charter.config import Config, validate
from charter.errors import ConfigError, UserError
from charter.kept_log import MEND, append_log_lines, read_log_lines

FILE = "reviews.jsonl"

Decision = Literal["approve", "refuse"]


class Review(Config):
    """One person's word on what one stage asks."""

    stage: str
    who: Annotated[str, Field(min_length=1, pattern=r"\S")]
    decision: Decision
    reason: str = ""
    at: str
    """UTC time, ISO 8601."""
    shas: Mapping[str, str]
    """sha256 of each thing that was reviewed, by its name."""


def read_reviews(run: Path) -> list[Review]:
    """Every review in the run directory.

    Raises:
        UserError: a line that is none, at its number; nothing is left out silently.
    """
    rows = []
    for where, value in read_log_lines(run / FILE):
        try:
            rows.append(validate(Review, value, where=where))
        except ConfigError as error:
            raise UserError(error.what, where=where, fix=MEND) from None
    return rows


def append_review(run: Path, row: Review) -> None:
    """Add ``row``; nothing is written behind a damaged line."""
    read_reviews(run)
    append_log_lines(run / FILE, [row.model_dump(mode="json")])
