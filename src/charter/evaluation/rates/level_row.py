"""One level of authority in the card, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from charter.evaluation.rates.change import Rate
from charter.evaluation.rates.gates import GateResult, HowRated


@dataclass(frozen=True, slots=True)
class LevelRow:
    """One level of authority.

    Attributes:
        level: its name.
        principles: ids behind the numbers.
        left_out: why each other principle of the level is not behind them, by id.
        n_prompts: prompts behind the aligned model's number.
        missing: prompts of which an answer of the aligned model lacks a verdict, and is not in the number.
        raw: share of prompts that the judges pass on every principle; None where nothing was measured.
        before: corrected share of the base model; None when not measured.
        after: corrected share of the aligned model; None when not measured.
        at_worst: the same with every missing verdict counted as a failure; None when none is missing.
        how: see :data:`HowRated`.
        gate: what the constitution asks of the level; None = nothing.
        sentence: the row in words for people.
    """

    level: str
    principles: tuple[str, ...]
    left_out: Mapping[str, str]
    n_prompts: int
    missing: int
    raw: Rate | None
    before: Rate | None
    after: Rate | None
    at_worst: Rate | None
    how: HowRated
    gate: GateResult | None
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "gate": None if self.gate is None else self.gate.to_json()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole, lexicographically: the first level whose gate does not pass decides.

    Attributes:
        result: ``pass``, ``fail``, ``undecided``; ``ungated`` where the constitution has no gate.
        level: the level that decided; "" where every gate passes or there is none.
        sentence: in words.
    """

    result: Literal["pass", "fail", "undecided", "ungated"]
    level: str
    sentence: str
