"""Where everything comes from, to the byte: text, data, models, judge, commands, seeds, versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections import adherence
from charter.reporting.sections.row import Row

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Facts by what they are about; empty ones were not recorded."""

    constitution: str
    sha: str
    base: str
    aligned: str
    aligned_path: str
    data: Facts
    training_data: str
    judge: str
    prompt_shas: Facts
    card_sha: str
    command: str
    seed: str
    machine: Facts
    versions: Facts
    manifest: Facts
    principles: tuple[Row, ...]


def read(source: Source) -> Lineage:
    """What a report says of its own making."""
    report = source.report
    constitution, models, judge = (report.child(key) for key in ("constitution", "models", "judge"))
    aligned = models.child("aligned")
    attribution = report.child("attribution")
    return Lineage(
        constitution=constitution.text("path"),
        sha=constitution.text("sha"),
        base=models.child("base").text("name"),
        aligned=aligned.text("name"),
        aligned_path=aligned.text("path"),
        data=tuple(
            (name, value) for name, value in report.child("data").child("prompts").items() if value != "null"
        ),
        training_data=attribution.text("source"),
        judge=judge.text("name"),
        prompt_shas=tuple(judge.child("prompts").items()),
        card_sha=judge.child("card").text("constitution_sha"),
        command=report.text("command"),
        seed=report.words("seed"),
        machine=_facts(report, "machine"),
        versions=tuple(report.child("versions").items()),
        manifest=tuple(report.child("manifest").items()),
        principles=adherence.read(source).principles,
    )


def _facts(node: Node, key: str) -> Facts:
    """An object's entries, or one line of text."""
    if isinstance(node.value.get(key), str):
        return (("", node.text(key)),)
    return tuple(node.child(key).items())


def _shown(found: Lineage, setting: Setting) -> dict[str, Any]:
    return {}


SECTION = Section("lineage", "Where it all comes from", read, _shown)
