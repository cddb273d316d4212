"""What a signal is: a rule about a metric, how long it must hold, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from charter.evaluation.watchdog.memory import Memory

Severity = Literal["warn", "pause"]
"""``warn``: said once, and written beside the metrics; ``pause``: training ends, with good weights."""


class Rule(Protocol):
    """How far a metric is on its way from normal to alarming."""

    @property
    def metric(self) -> str:
        """The rule is looked at whenever this gets a reading."""
        ...

    def excess(self, memory: Memory) -> float | None:
        """0 is normal, 1 and above alarming; None = too little is known yet."""
        ...

    def words(self, memory: Memory) -> str:
        """What was seen, for people; only called where :meth:`excess` is 1 or above."""
        ...


@dataclass(frozen=True)
class Signal:
    """A rule that is watched.

    Attributes:
        name: what it is called in messages and metrics; a warning and a pause may share one.
        severity: see :data:`Severity`.
        rule: see :class:`Rule`.
        patience: consecutive readings for which the rule must alarm.
    """

    name: str
    severity: Severity
    rule: Rule
    patience: int = 5
