"""What was said about a proposal: comments, votes and steps, one JSON line each, only ever added.

A line that cannot be read is named and stops whatever needs the log; nothing is dropped, and nothing
is written behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from charter.config import Config, validate
from charter.constitution.amend_rules import person_key
from charter.errors import ConfigError, UserError, did_you_mean
from charter.kept_log import MEND, append_log_lines, read_log_lines

Choice = Literal["yes", "no", "abstain"]
CHOICES: tuple[Choice, ...] = ("yes", "no", "abstain")

Name = Annotated[str, Field(min_length=1, pattern=r"\S")]


class Vote(Config):
    """One vote; a later one of the same person counts instead."""

    kind: Literal["vote"] = "vote"
    who: Name
    group: str = ""
    at: str
    """UTC time, ISO 8601."""
    choice: Choice
    reason: str = ""
    proposal: str
    """sha256 of the proposal that was voted on."""
    source: str = ""
    """Where the vote was cast, when it was not here."""


class Comment(Config):
    """A remark."""

    kind: Literal["comment"] = "comment"
    who: Name
    group: str = ""
    at: str
    text: Annotated[str, Field(min_length=1)]
    proposal: str


class Step(Config):
    """What became of the proposal."""

    kind: Literal["step"] = "step"
    who: str = ""
    at: str
    step: Literal["proposed", "rebased", "adopted", "rejected"]
    reason: str = ""
    base: str = ""
    """sha256 of the constitution's text before."""
    result: str = ""
    """sha256 of the constitution's text after; of an adoption only."""
    version: str = ""


Row = Vote | Comment | Step
RowT = TypeVar("RowT", Vote, Comment, Step)
_KINDS: dict[str, type[Vote] | type[Comment] | type[Step]] = {
    "vote": Vote,
    "comment": Comment,
    "step": Step,
}


@dataclass(frozen=True, slots=True)
class Log:
    """Everything in one file, in its order."""

    rows: tuple[Row, ...]

    @property
    def votes(self) -> tuple[Vote, ...]:
        """Every vote, replaced ones too."""
        return tuple(row for row in self.rows if isinstance(row, Vote))

    @property
    def comments(self) -> tuple[Comment, ...]:
        """Every comment."""
        return tuple(row for row in self.rows if isinstance(row, Comment))

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step."""
        return tuple(row for row in self.rows if isinstance(row, Step))

    @property
    def standing(self) -> tuple[Vote, ...]:
        """The last vote of each person, in the order of the persons' first votes."""
        last = {person_key(vote.who): vote for vote in self.votes}
        return tuple(last.values())


def read_log(path: Path) -> Log:
    """The log at ``path``; empty when nothing was said yet.

    Raises:
        UserError: a line is damaged or is no comment, vote or step; ``where`` names it.
        EnvironmentFault: the file cannot be read.
    """
    return Log(tuple(_row(value, where) for where, value in read_log_lines(path)))


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Add ``rows`` in one write. Hold the folder's lock, and read the log before: it must be sound.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    append_log_lines(path, map(_plain, rows))


def _row(value: Any, where: str) -> Row:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise UserError("not a comment, vote or step", where=where, fix=MEND)
    if value["kind"] not in _KINDS:
        raise UserError(
            f"unknown kind {value['kind']!r}", where=where, fix=did_you_mean(value["kind"], _KINDS)
        )
    try:
        return validate(_KINDS[value["kind"]], value, where=where)
    except ConfigError as error:
        raise UserError(error.what, where=where, fix=MEND) from None


def _plain(row: Row) -> dict[str, str]:
    said = row.model_dump(mode="json", exclude_defaults=True)
    return {"kind": row.kind, **said}


def counts(votes: Iterable[Vote]) -> dict[Choice, int]:
    """How many chose what."""
    found: dict[Choice, int] = dict.fromkeys(CHOICES, 0)
    for vote in votes:
        found[vote.choice] += 1
    return found
