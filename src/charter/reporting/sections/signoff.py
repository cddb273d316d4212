"""Who signed off on what, and who did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.words import listed


@dataclass(frozen=True, slots=True)
class Review:
    """One review; ``void`` names decisions that do not count any more, with the reason."""

    stage: str
    what: tuple[str, ...]
    needs: int | None
    state: str
    approved: tuple[str, ...]
    missing: tuple[str, ...]
    dissent: tuple[tuple[str, str], ...]
    void: tuple[tuple[str, str], ...]


def read(source: Source) -> tuple[Review, ...] | None:
    """The ``reviews`` of a report."""
    return tuple(_review(item) for item in source.report.children("reviews")) or None


def _review(node: Node) -> Review:
    return Review(
        stage=node.text("stage"),
        what=tuple(node.child("what").value),
        needs=node.count("needs"),
        state=node.text("state"),
        approved=node.texts("approved"),
        missing=node.texts("missing"),
        dissent=tuple((one.text("who"), one.text("reason")) for one in node.children("dissent")),
        void=tuple(
            (one.text("who"), one.text("void")) for one in node.children("reviews") if one.text("void")
        ),
    )


STATES = {
    "approved": ("✓", "approved", "gate-pass"),
    "refused": ("✕", "refused", "gate-fail"),
    "open": ("?", "waiting", "gate-undecided"),
}


def _shown(found: tuple[Review, ...], setting: Setting) -> dict[str, Any]:
    return {"chip_of": lambda state: STATES.get(state, ("●", state, "kept")), "joined": listed}


SECTION = Section("signoff", "Who signed off", read, _shown)
