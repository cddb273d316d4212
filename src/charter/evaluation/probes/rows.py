"""What a probe found: rows of numbers with intervals, and the transcripts they were read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from charter.stats import Interval
from charter.types import Message

Unit = Literal["share", "change", "number"]
"""``share``: of items, 0 to 1; ``change``: of a share or scale, -1 to 1; ``number``: anything else."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measure.

    Attributes:
        name: of the measure; unique within its probe.
        value: None = not measured; ``why`` then says so.
        interval: of the value; None where there is none to give.
        n: items it was measured on.
        missing: items left out because an answer was missing or could not be read.
        unit: see :data:`Unit`.
        p: of the test that the value is 0, where there is one.
        why: what it means, or why it is missing.
        detail: counts and further numbers, plain data.
    """

    name: str
    value: float | None
    interval: Interval | None
    n: int
    missing: int = 0
    unit: Unit = "number"
    p: float | None = None
    why: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "value": self.value,
            "lo": None if self.interval is None else self.interval.lo,
            "hi": None if self.interval is None else self.interval.hi,
            "n": self.n,
            "missing": self.missing,
            "unit": self.unit,
            "p": self.p,
            "why": self.why,
            "detail": dict(self.detail),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Row:
        """The row that :meth:`to_json` gave."""
        rest = {name: value for name, value in row.items() if name not in ("lo", "hi")}
        interval = None if row["lo"] is None else Interval(row["lo"], row["hi"])
        return cls(interval=interval, **rest)


@dataclass(frozen=True, slots=True)
class Transcript:
    """One conversation, and what was read in it.

    Attributes:
        item: which item of the probe.
        arm: how it was asked.
        turns: all of it; the last is the answer that was read.
        reading: what the reader made of it.
        cut: the answer reached the limit of tokens.
    """

    item: str
    arm: str
    turns: tuple[Message, ...]
    reading: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "item": self.item,
            "arm": self.arm,
            "turns": [{"role": turn.role, "content": turn.content} for turn in self.turns],
            "reading": dict(self.reading),
            "cut": self.cut,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Transcript:
        """The transcript that :meth:`to_json` gave."""
        turns = tuple(Message(turn["role"], turn["content"]) for turn in row["turns"])
        return cls(row["item"], row["arm"], turns, row["reading"], row["cut"])


@dataclass(frozen=True)
class ProbeResult:
    """What one probe found.

    Attributes:
        probe: its name.
        rows: the measures.
        transcripts: everything that was said.
        missing: answers that are not there, by reason; the rows count them too.
    """

    probe: str
    rows: tuple[Row, ...]
    transcripts: tuple[Transcript, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)

    @property
    def cut(self) -> int:
        """Answers that reached the limit of tokens; they were read as far as they go."""
        return sum(one.cut for one in self.transcripts)

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            KeyError: there is none.
        """
        return {one.name: one for one in self.rows}[name]

    def to_json(self) -> dict[str, Any]:
        """Plain data, transcripts included."""
        return {
            "probe": self.probe,
            "rows": [row.to_json() for row in self.rows],
            "missing": dict(self.missing),
            "cut": self.cut,
            "transcripts": [one.to_json() for one in self.transcripts],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> ProbeResult:
        """The result that :meth:`to_json` gave."""
        return cls(
            found["probe"],
            tuple(Row.from_json(row) for row in found["rows"]),
            tuple(Transcript.from_json(row) for row in found["transcripts"]),
            found["missing"],
        )
