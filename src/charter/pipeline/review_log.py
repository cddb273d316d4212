"""``reviews.jsonl``: what people said of a run, a line each, only ever added."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from charter.config import Config, validate
from charter.errors import ConfigError, EnvironmentFault, UserError

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
    path = run / FILE
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise EnvironmentFault(f"cannot read: {error.strerror or error}", where=str(path)) from None
    rows = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where, fix = f"{path}:{number}", "mend that line, or delete it; nothing else was touched"
        try:
            rows.append(validate(Review, json.loads(line.decode()), where=where))
        except ValueError:
            raise UserError("damaged line", where=where, fix=fix) from None
        except ConfigError as error:
            raise UserError(error.what, where=where, fix=fix) from None
    return rows


def append_review(run: Path, row: Review) -> None:
    """Add ``row``; nothing is written behind a damaged line."""
    path = run / FILE
    line = json.dumps(row.model_dump(mode="json"), ensure_ascii=False) + "\n"
    read_reviews(run)
    try:
        with open(path, "ab") as file:
            if file.tell() and not path.read_bytes().endswith(b"\n"):  # edited by hand
                line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise EnvironmentFault(f"cannot write: {error.strerror or error}", where=str(path)) from None
