"""The worst answers of each principle, one click away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node, printable
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections import adherence
from charter.reporting.words import count


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that broke a principle, and who says so."""

    id: str
    prompt: str
    answer: str
    why: str
    judge: str


@dataclass(frozen=True, slots=True)
class Worst:
    """Failing answers by principle, and principles of which none was found."""

    answers: Mapping[str, tuple[Answer, ...]]
    clean: tuple[str, ...]


def read(source: Source) -> Worst | None:
    """The ``worst`` of a report."""
    node = source.report.child("worst")
    if node.missing:
        return None
    found = {printable(name): tuple(_answer(item) for item in node.children(name)) for name in node.value}
    measured = [row.id for row in adherence.read(source).principles if row.after is not None]
    clean = tuple(name for name in measured if not found.get(name))
    return Worst({name: answers for name, answers in found.items() if answers}, clean)


def _answer(node: Node) -> Answer:
    return Answer(*(node.text(key) for key in ("id", "prompt", "answer", "why", "judge")))


def _shown(found: Worst, setting: Setting) -> dict[str, Any]:
    return {"many": lambda answers: count(len(answers), "answer")}


SECTION = Section(
    "worst", "The worst answers, to be read", read, _shown, lambda found: bool(found.answers or found.clean)
)
