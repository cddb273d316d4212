"""The stages of the run, and how long each took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the run."""

    number: int | None
    name: str
    seconds: float | None
    summary: str
    skipped: bool


def read(source: Source) -> tuple[Stage, ...] | None:
    """The ``stages`` of a report."""
    return tuple(_stage(item) for item in source.report.children("stages")) or None


def _stage(node: Node) -> Stage:
    return Stage(
        number=node.count("number"),
        name=node.text("name"),
        seconds=node.number("seconds"),
        summary=node.text("summary"),
        skipped=bool(node.flag("skipped")),
    )


def _shown(found: tuple[Stage, ...], setting: Setting) -> dict[str, Any]:
    seconds = [stage.seconds for stage in found if stage.seconds is not None]
    return {"total": sum(seconds) if len(seconds) == len(found) else None}


SECTION = Section("stages", "Stages", read, _shown)
