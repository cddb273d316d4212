"""A bound on a level, and what the data say about it."""

from __future__ import annotations

from dataclasses import dataclass

from charter.reporting.content import Rate, one_of, read_rate
from charter.reporting.node import Node

GATE_RESULTS = ("pass", "fail", "undecided")


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on a level and what the data say about it; ``both`` is (prompts, labels)."""

    level: str
    bound: float
    result: str
    why: str
    rate: Rate | None
    more: int | None
    more_labels: int | None
    both: tuple[int, int] | None


def read_gate(node: Node) -> Gate:
    """A gate of the card.

    Raises:
        UserError: a result that the format does not know.
    """
    result = node.text("result")
    one_of(node, "result", result, GATE_RESULTS)
    both = node.interval("both")
    return Gate(
        level=node.text("level"),
        bound=node.rate("min_lower_bound"),
        result=result,
        why=node.text("why"),
        rate=read_rate(node, "rate"),
        more=node.count("more"),
        more_labels=node.count("more_labels"),
        both=None if both is None else (int(both[0]), int(both[1])),
    )
