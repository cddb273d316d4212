"""Numbers that many sections hold, once read and checked. ``None`` always means not measured."""

from __future__ import annotations

from dataclasses import dataclass

from charter.errors import UserError
from charter.reporting.node import Node


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in [0, 1] with its interval; ``k`` of ``n`` answers where it is a count."""

    rate: float
    lo: float
    hi: float
    k: int | None
    n: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """After minus before, in [-1, 1], with its interval and test."""

    diff: float
    lo: float
    hi: float
    p: float
    p_holm: float | None
    test: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """Any number with its interval, where it has one."""

    value: float
    lo: float | None
    hi: float | None


def read_rate(node: Node, key: str) -> Rate | None:
    """The rate under ``key``; None when missing."""
    rate = node.child(key)
    if rate.missing:
        return None
    return Rate(rate.rate("rate"), rate.rate("lo"), rate.rate("hi"), rate.count("k"), rate.count("n"))


def read_change(node: Node, key: str = "change") -> Change | None:
    """The change under ``key``; None when missing."""
    change = node.child(key)
    if change.missing:
        return None
    diff, lo, hi = (change.rate(name, lowest=-1.0) for name in ("diff", "lo", "hi"))
    holm = None if change.number("p_holm") is None else change.rate("p_holm")
    return Change(diff, lo, hi, change.rate("p"), holm, change.text("test"))


def read_estimate(node: Node, key: str = "value") -> Estimate | None:
    """``key``, ``lo`` and ``hi`` of this object; None when the value is missing."""
    value = node.number(key)
    return None if value is None else Estimate(value, node.number("lo"), node.number("hi"))


def one_of(node: Node, key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that the format does not know.

    Raises:
        UserError: with the key and the words it knows.
    """
    if value not in allowed:
        raise UserError(
            f"{node.path}.{key} must be one of {', '.join(allowed)}, not {value!r}", where=node.where
        )
