"""Votes cast on Pol.is, by opinion group: how Collective Constitutional AI asked a public (2406.07814).

Reads a conversation's export: ``comments.csv`` (``comment-id``, ``comment-body``, ``moderated``) and
``participants-votes.csv`` (``participant``, ``group-id``, and a column per statement: 1 agree, -1
disagree, 0 pass, empty not seen).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.constitution.amending.log import Choice, Vote
from charter.errors import DataError, did_you_mean
from charter.stats import Interval, wilson

COMMENTS, VOTES = "comments.csv", "participants-votes.csv"
_CHOICES: dict[str, Choice] = {"1": "yes", "-1": "no", "0": "abstain"}
_OUT = "-1"


@dataclass(frozen=True, slots=True)
class GroupCount:
    """How one group voted on a statement; a pass is an abstention."""

    group: str
    yes: int
    no: int
    abstain: int

    @property
    def seen(self) -> int:
        """Everybody who saw it."""
        return self.yes + self.no + self.abstain

    @property
    def agreement(self) -> float | None:
        """Share of those who saw it that agree; None when nobody did."""
        return self.yes / self.seen if self.seen else None

    @property
    def interval(self) -> Interval:
        """95% Wilson interval of the agreement: the participants are a sample."""
        return wilson(self.yes, self.seen)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and its votes.

    Attributes:
        id: in the export.
        text: what was voted on.
        groups: the lowest agreement first; a group that never saw it before all.
    """

    id: str
    text: str
    groups: tuple[GroupCount, ...]

    @property
    def group_aware_consensus(self) -> float:
        """Product over groups of the smoothed chance that one of the group agrees, (yes + 1) / (seen + 2).

        High only where every group agrees, whatever its size.
        Source: Small et al., Polis, Recerca 26 (2021); used by 2406.07814.
        """
        return math.prod((one.yes + 1) / (one.seen + 2) for one in self.groups)


@dataclass(frozen=True, slots=True)
class Conversation:
    """An export.

    Attributes:
        name: of its folder; with a participant's number it names a person.
        statements: the highest group-aware consensus first.
        cast: per statement id, (participant, group, choice).
        participants: how many count.
        left_out: what does not, and how often.
    """

    name: str
    statements: tuple[Statement, ...]
    cast: Mapping[str, Sequence[tuple[str, str, Choice]]]
    participants: int
    left_out: Mapping[str, int]

    def statement(self, id: str) -> Statement:
        """The statement with that id.

        Raises:
            DataError: there is none, or it was moderated out.
        """
        for one in self.statements:
            if one.id == id:
                return one
        raise DataError(f"no statement {id!r}", fix=did_you_mean(id, [one.id for one in self.statements]))

    def votes(self, id: str, at: str) -> list[Vote]:
        """The votes on a statement as votes on a proposal that says it.

        Args:
            id: of the statement.
            at: UTC time to write down; the export has none.
        """
        source = f"Pol.is statement {self.statement(id).id} of {self.name}"
        return [
            Vote(who=f"{self.name} {person}", group=group, at=at, choice=choice, proposal="", source=source)
            for person, group, choice in self.cast[id]
        ]


def read_polis(folder: Path, *, min_votes: int = 0, names: Mapping[str, str] | None = None) -> Conversation:
    """Read an export.

    Participants without a group, and those with too few votes to be heard out, are left out and counted;
    so are statements that were moderated out.

    Args:
        folder: holds both files.
        min_votes: fewest statements a participant must have voted on.
        names: other names for groups, by ``group-id``.

    Raises:
        DataError: a file, column or value is wrong, at its line; or the signs of all votes are turned.
    """
    texts, moderated = _comments(folder / COMMENTS)
    rows = _rows(folder / VOTES, ("participant", "group-id"))
    head = list(rows[0][1]) if rows else []
    for name in head:
        if name.isdecimal() and name not in texts and name not in moderated:
            raise DataError(
                f"votes on statement {name!r}, which {COMMENTS} lacks", where=f"{folder / VOTES}:1"
            )
    if turned := _turned(rows, [name for name in head if name.isdecimal()]):
        raise DataError(turned, where=str(folder / VOTES), fix="multiply the votes by -1")
    columns = [name for name in head if name in texts]
    left_out = {"statements moderated out": len(moderated), "participants without a group": 0}
    few = f"participants with fewer than {min_votes} votes"
    if min_votes:
        left_out[few] = 0
    cast: dict[str, list[tuple[str, str, Choice]]] = {id: [] for id in texts}
    groups: dict[str, None] = {}
    people: dict[str, int] = {}
    for line, row in rows:
        person, group = row["participant"], row["group-id"]
        if person in people:
            raise DataError(
                f"participant {person!r} stands here twice, first on line {people[person]}",
                where=f"{folder / VOTES}:{line}",
            )
        people[person] = line
        mine = {id: _choice(row[id], f"{folder / VOTES}:{line}", id) for id in columns if row[id].strip()}
        if not group:
            left_out["participants without a group"] += 1
        elif len(mine) < min_votes:
            left_out[few] += 1
        else:
            name = (names or {}).get(group, group)
            groups[name] = None
            for id, choice in mine.items():
                cast[id].append((person, name, choice))
    statements = [Statement(id, texts[id], _counted(cast[id], list(groups))) for id in texts]
    return Conversation(
        folder.resolve().name,
        tuple(sorted(statements, key=lambda one: -one.group_aware_consensus)),
        cast,
        len(people) - sum(n for what, n in left_out.items() if what.startswith("participants")),
        left_out,
    )


def _counted(cast: Sequence[tuple[str, str, Choice]], groups: Sequence[str]) -> tuple[GroupCount, ...]:
    found = []
    for group in groups:
        mine = [choice for _, one, choice in cast if one == group]
        found.append(GroupCount(group, mine.count("yes"), mine.count("no"), mine.count("abstain")))
    return tuple(sorted(found, key=lambda one: (-1.0 if one.agreement is None else one.agreement, one.group)))


def _comments(path: Path) -> tuple[dict[str, str], set[str]]:
    texts: dict[str, str] = {}
    moderated: set[str] = set()
    for line, row in _rows(path, ("comment-id", "comment-body", "moderated")):
        id = row["comment-id"]
        if id in texts or id in moderated:
            raise DataError(f"statement {id!r} stands here twice", where=f"{path}:{line}")
        if row["moderated"] == _OUT:
            moderated.add(id)
        else:
            texts[id] = row["comment-body"]
    return texts, moderated


def _rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file with a head."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = reader.fieldnames or []
            for name in needed:
                if name not in names:
                    raise DataError(f"no column {name!r}", where=str(path), fix=did_you_mean(name, names))
            found = []
            for row in reader:
                if None in row or None in row.values():
                    raise DataError("not as many values as columns", where=f"{path}:{reader.line_num}")
                found.append((reader.line_num, {key: value.strip() for key, value in row.items()}))
            return found
    except FileNotFoundError:
        fix = f"name the folder that holds {COMMENTS} and {VOTES}"
        raise DataError("no such file", where=str(path), fix=fix) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error}", where=str(path)) from None
    except csv.Error as error:
        raise DataError(f"bad CSV: {error}", where=f"{path}:{reader.line_num}") from None
    except OSError as error:
        raise DataError(f"cannot read: {error.strerror}", where=str(path)) from None


def _choice(value: str, where: str, statement: str) -> Choice:
    plain = value.removesuffix(".0")
    if plain not in _CHOICES:
        raise DataError(f"vote {value!r} on statement {statement}", where=where, fix="1, -1, 0 or nothing")
    return _CHOICES[plain]


def _turned(rows: Sequence[tuple[int, Mapping[str, str]]], columns: Sequence[str]) -> str:
    """Some exports write agreement as -1; the sums that stand beside the votes give it away."""
    agree = disagree = ones = minus = 0
    for _, row in rows:
        said = (row.get("n-agree", ""), row.get("n-disagree", ""))
        if not all(one.isdecimal() for one in said):
            return ""
        agree, disagree = agree + int(said[0]), disagree + int(said[1])
        votes = [row[id].removesuffix(".0") for id in columns]
        ones, minus = ones + votes.count("1"), minus + votes.count("-1")
    if (ones, minus) == (disagree, agree) != (agree, disagree):
        return f"agreement is written as -1: {agree} agree by n-agree, but {minus} votes of -1"
    return ""
