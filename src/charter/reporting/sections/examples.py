"""Answers before and after, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source

VERDICTS = {True: ("✓", "passed"), False: ("✕", "failed")}


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with both answers; verdict None where a principle was not judged."""

    id: str
    prompt: str
    before: str | None
    after: str | None
    before_verdicts: Mapping[str, bool | None]
    after_verdicts: Mapping[str, bool | None]


def read(source: Source) -> tuple[Example, ...] | None:
    """The ``examples`` of a report."""
    return tuple(_example(item) for item in source.report.children("examples")) or None


def _example(node: Node) -> Example:
    return Example(
        id=node.text("id"),
        prompt=node.text("prompt"),
        before=_answer(node, "before"),
        after=_answer(node, "after"),
        before_verdicts=node.flags("before_verdicts"),
        after_verdicts=node.flags("after_verdicts"),
    )


def _answer(node: Node, key: str) -> str | None:
    return None if node.value.get(key) is None else node.text(key)


def _shown(found: tuple[Example, ...], setting: Setting) -> dict[str, Any]:
    return {"verdicts": VERDICTS}


SECTION = Section("examples", "Answers before and after", read, _shown)
