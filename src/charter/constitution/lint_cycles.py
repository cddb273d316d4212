"""Lint: principles that go round in a circle, by which of them wins or by what each means.

A link is a cross reference and may point both ways. It ranks or defines only where the words right before it
say so (:data:`OVER`, :data:`UNDER`, :data:`DEFINED`); a conflict test ranks as well.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from charter.constitution.cases import Conflict
from charter.constitution.constitution import Constitution
from charter.constitution.findings import Finding, Severity
from charter.constitution.principle import Principle

OVER = ("overrides", "outranks", "wins over", "comes before", "goes before", "takes precedence over")
"""Before a link: the principle beats the one that is linked."""

UNDER = (
    "subject to",
    "unless",
    "except where",
    "except when",
    "yields to",
    "gives way to",
    "is overridden by",
)
"""Before a link: the one that is linked beats the principle."""

DEFINED = (
    "defined by",
    "defined in",
    "defined under",
    "as described in",
    "in the sense of",
    "as meant in",
    "depends on",
)
"""Before a link: the principle means nothing without the one that is linked."""

_BETWEEN = r"(?:\s+\w[\w'-]*){0,3}\s*"
"""Few words may stand between, such as `the principle`."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """``first`` wins over ``second``, or leans on it; ``said`` names where that is said.

    Attributes:
        firm: it is said without a condition, not by a test, which asks about one situation.
    """

    first: str
    second: str
    line: int
    said: str
    firm: bool = True


def lint_cycles(constitution: Constitution) -> list[Finding]:
    """One finding for each circle: of precedence, and of meaning."""
    ids = {principle.id for principle in constitution.active}
    over, leans = list[Arrow](), list[Arrow]()
    for principle in constitution.active:
        over += _linked(principle, OVER)
        over += [_turned(one) for one in _linked(principle, UNDER)]
        over += _tested(principle)
        leans += _linked(principle, DEFINED)
    found = [_finding(constitution, one, "precedence-cycle") for one in circles(_known(over, ids))]
    return found + [_finding(constitution, one, "definition-cycle") for one in circles(_known(leans, ids))]


def _linked(principle: Principle, words: Sequence[str]) -> Iterator[Arrow]:
    """Links of the statement that stand right behind one of ``words``."""
    for said in words:
        spaced = said.replace(" ", r"\s+")
        pattern = re.compile(rf"\b{spaced}{_BETWEEN}\[[^\]]*\]\(#([^)\s]*)\)", re.IGNORECASE)
        for match in pattern.finditer(principle.text):
            yield Arrow(principle.id, match[1], principle.line, f"{said!r} in {principle.id!r}")


def _turned(one: Arrow) -> Arrow:
    return Arrow(one.second, one.first, one.line, one.said, one.firm)


def _tested(principle: Principle) -> Iterator[Arrow]:
    for case in principle.tests:
        if isinstance(case.config, Conflict):
            winner = case.config.expect_winner
            loser = case.config.against if winner == principle.id else principle.id
            yield Arrow(winner, loser, case.line, f"test {case.id!r}", firm=False)


def _known(arrows: Sequence[Arrow], ids: set[str]) -> dict[str, list[Arrow]]:
    """Arrows between principles in force, by where they start."""
    found: dict[str, list[Arrow]] = {}
    for one in arrows:
        if one.first in ids and one.second in ids:
            found.setdefault(one.first, []).append(one)
    return found


def circles(arrows: Mapping[str, Sequence[Arrow]]) -> list[list[Arrow]]:
    """A shortest circle through each principle that is on one, until every such principle is named once."""
    found: list[list[Arrow]] = []
    named: set[str] = set()
    for start in arrows:
        if start in named:
            continue
        circle = _shortest(start, arrows)
        if circle:
            found.append(circle)
            named |= {one.first for one in circle}
    return found


def _shortest(start: str, arrows: Mapping[str, Sequence[Arrow]]) -> list[Arrow]:
    """The fewest arrows from ``start`` back to it; none = there is no way back."""
    came: dict[str, Arrow] = {}
    waiting = deque([start])
    while waiting:
        for one in arrows.get(waiting.popleft(), ()):
            if one.second == start:
                way = [one]
                while way[0].first != start:
                    way.insert(0, came[way[0].first])
                return way
            if one.second not in came:
                came[one.second] = one
                waiting.append(one.second)
    return []


def _finding(constitution: Constitution, circle: Sequence[Arrow], code: str) -> Finding:
    first = circle[0]
    ranks = code == "precedence-cycle"
    word = "over" if ranks else "leans on"
    steps = "; ".join(
        f"{one.first!r} {word} {one.second!r} ({one.said} on line {one.line})" for one in circle
    )
    what = "which of them wins goes round in a circle" if ranks else "what they mean goes round in a circle"
    fix = (
        "say where each of them wins, or take one of these back"
        if ranks
        else "say in one of them what it means without the other"
    )
    # What is only tested may hold in one situation and not in another.
    level: Severity = "error" if all(one.firm for one in circle) else "warning"
    return Finding(
        level,
        code,
        first.first,
        f"{constitution.path}:{first.line}",
        f"{what}: {steps}",
        fix,
    )
