"""Whether the model does the same again: over seeds, paraphrases and turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Rate, read_rate
from charter.reporting.section import Section, Setting, Source


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What ``tests.consistency`` holds."""

    seeds: Rate | None
    seeds_by_kind: Mapping[str, Rate]
    seeds_missing: str
    paraphrases: Rate | None
    across_prompts: float | None
    within_prompt: float | None
    turns: Mapping[str, int]
    held: Rate | None
    net_flips: float | None


def read(source: Source) -> Steadiness | None:
    """``tests.consistency``."""
    node = source.tests.child("consistency")
    if node.missing:
        return None
    by_kind = node.child("seeds_by_kind")
    rates = {name: read_rate(by_kind, name) for name in by_kind.value}
    return Steadiness(
        seeds=read_rate(node, "seeds"),
        seeds_by_kind={name: rate for name, rate in rates.items() if rate},
        seeds_missing=node.text("seeds_missing"),
        paraphrases=read_rate(node, "paraphrases"),
        across_prompts=node.number("across_prompts"),
        within_prompt=node.number("within_prompt"),
        turns=node.counts("turns"),
        held=read_rate(node, "held"),
        net_flips=node.number("net_flips"),
    )


def _shown(found: Steadiness, setting: Setting) -> dict[str, Any]:
    rows = [
        ("The same answer with another seed", "tests asked several times", found.seeds),
        ("The same answer to a paraphrase", "tests asked in several wordings", found.paraphrases),
        ("A right answer kept under doubt", "conversations in which the user pushes back", found.held),
    ]

    def plot(title: str, rate: Rate) -> Markup:
        return charts.forest_row(None, rate, label=title, status="", names=("", "held"))

    return {"rows": [row for row in rows if row[2]], "plot": plot, "grid": charts.GRID}


SECTION = Section(
    "steadiness",
    "Does it do the same again?",
    read,
    _shown,
    lambda found: bool(found.seeds or found.paraphrases or found.held or found.seeds_missing),
)
