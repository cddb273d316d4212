"""The verdict, level by level, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Rate, read_rate
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections import adherence
from charter.reporting.sections.adherence import Adherence
from charter.reporting.sections.basis import basis_words
from charter.reporting.sections.gate import Gate, read_gate
from charter.reporting.words import capital, count, ended, equals, listed, of_100, signed, span
from charter.stats import percent

CHIPS: Mapping[str, tuple[str, str, str]] = {
    "pass": ("✓", "passes", "gate-pass"),
    "fail": ("✕", "fails", "gate-fail"),
    "undecided": ("?", "undecided", "gate-undecided"),
    "": ("●", "no gate", "kept"),
    "not_measured": ("○", "not measured", "not_measured"),
}
"""Mark, word and class of a level by what its gate says."""


AS_COUNTED = "This is as the judge counted, mistakes and all, so nothing is claimed of it."


@dataclass(frozen=True, slots=True)
class Level:
    """One level of authority; ``left_out`` has the reason of every principle that does not count, ``missing``
    the number of prompts with an answer that lacks a verdict and is not in the numbers."""

    name: str
    principles: tuple[str, ...]
    left_out: Mapping[str, str]
    n: int | None
    raw: Rate | None
    before: Rate | None
    after: Rate | None
    how: str
    gate: Gate | None
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """All levels, highest first; ``result`` is '' in a report that has no verdict over all of them."""

    levels: tuple[Level, ...]
    result: str
    level: str
    adherence: Adherence
    flags: tuple[str, ...]


def read(source: Source) -> Verdict:
    """Levels where the report has them; else its gates stand for them."""
    node, card = source.adherence, adherence.read(source)
    levels = [_level(item) for item in node.children("levels")]
    named = {level.name for level in levels}
    gates = [gate for gate in card.gates if gate.level not in named]
    levels += [Level(gate.level, (), {}, None, None, None, gate.rate, "", gate) for gate in gates]
    told = node.child("verdict")
    return Verdict(
        tuple(levels),
        told.text("result"),
        told.text("level"),
        card,
        source.report.texts("flags"),
    )


def headline(found: Verdict) -> str:
    """The verdict over all levels; '' where the report has none."""
    if found.result == "pass":
        gated = [level.name for level in found.levels if level.gate]
        return f"Every gate passes: {listed(gated)}." if gated else "Every gate passes."
    if found.result == "fail":
        return f"The {found.level} level fails its gate, and so does the whole{_above(found)}."
    if found.result == "undecided":
        return f"Not decided yet: the {found.level} level neither passes nor fails its gate{_above(found)}."
    return (
        "The constitution sets no gate, so nothing here passes or fails." if found.result == "ungated" else ""
    )


def level_sentence(level: Level, interval: str) -> str:
    """``The user level held in 84 of 100 held-out answers (95% interval 76 to 90), was 62.``"""
    title = f"The {level.name} level" if level.name else "What has no level"
    have = "has" if level.missing == 1 else "have"
    lost = f" {count(level.missing, 'prompt')} {have} an answer without a verdict, which is not counted."
    lost = lost if level.missing else ""
    if level.after is None:
        return f"{title} was not measured.{lost}"
    corrected = "" if level.how in ("", "exact") else "; corrected for the judge's mistakes"
    was = f", was {of_100(level.before.rate)}" if level.before else ""
    return (
        f"{title} held in {of_100(level.after.rate)} of 100 held-out answers "
        f"({span(level.after.lo, level.after.hi, interval)}{corrected}){was}.{lost}"
    )


def gate_sentence(gate: Gate) -> str:
    """Passes, fails, or what would decide."""
    bound = f"Its gate asks for {100 * gate.bound:g} of 100"
    if gate.result == "pass":
        return f"{bound}: it passes, the whole interval is there or above."
    if gate.result == "fail":
        return f"{bound}: it fails, the whole interval is below."
    if told := _would(gate):
        return f"{bound}: it cannot be decided yet; {told} would."
    return f"{bound}: it cannot be decided yet. {capital(ended(gate.why))}".rstrip()


def overall_sentence(found: Verdict, setting: Setting) -> str:
    """All principles together, in one sentence."""
    row = found.adherence.overall
    if row.after is None:
        return "Adherence was not measured."
    share = f"{percent(row.after.rate)} of held-out answers pass every principle that applies to them"
    if row.before is None or row.change is None:
        ends = f"{setting.interval} interval {percent(row.after.lo)} to {percent(row.after.hi)}"
        return f"{share} ({ends}); there is no baseline to compare with."
    by = f"After {setting.algorithm.upper()}" if setting.algorithm else "After alignment"
    numbers = (
        f"{signed(row.change.diff)} points, {setting.interval} interval {signed(row.change.lo)} to "
        f"{signed(row.change.hi)}, p\N{NO-BREAK SPACE}{equals(row.change.p)}"
    )
    before = percent(row.before.rate)
    if row.status == "rose":
        return f"{by}, {share}, up from {before} ({numbers})."
    if row.status == "fell":
        return f"{by}, {share}, down from {before} ({numbers})."
    if row.status == "measured":
        return f"{by}, {share}, against {before} before ({numbers}). {AS_COUNTED}"
    return f"{by}, {share}, against {before} before: no change is claimed ({numbers})."


def _above(found: Verdict) -> str:
    names = [level.name for level in found.levels if level.gate]
    passed = names[: names.index(found.level)] if found.level in names else []
    return f"; above it, {listed(passed)} {'passes' if len(passed) == 1 else 'pass'}" if passed else ""


def _would(gate: Gate) -> str:
    ways = []
    if gate.more:
        ways.append(f"{gate.more:,} more {'prompt' if gate.more == 1 else 'prompts'}")
    if gate.more_labels:
        ways.append(f"{gate.more_labels:,} more labels of the judge's work")
    if gate.both and all(gate.both):
        ways.append(f"{gate.both[0]:,} more prompts with {gate.both[1]:,} more labels")
    return f"about {listed(ways, 'or')}" if ways else ""


def _level(node: Node) -> Level:
    gate = node.child("gate")
    return Level(
        name=node.text("level"),
        principles=node.texts("principles"),
        left_out=node.texts_by("left_out"),
        n=node.count("n_prompts"),
        raw=read_rate(node, "raw"),
        before=read_rate(node, "before"),
        after=read_rate(node, "after"),
        how=node.text("how"),
        gate=None if gate.missing else read_gate(gate),
        missing=node.count("missing") or 0,
    )


def _chip(level: Level) -> tuple[str, str, str]:
    if level.gate is None:
        return CHIPS["not_measured" if level.after is None else ""]
    return CHIPS[level.gate.result]


def _plot(level: Level) -> Markup:
    return charts.forest_row(
        level.before,
        level.after,
        label=f"Level {level.name}" if level.name else "No level",
        status="",
        bound=level.gate.bound if level.gate else None,
        alone=True,
    )


def _shown(found: Verdict, setting: Setting) -> dict[str, Any]:
    rows = found.adherence.principles
    words = {row.id: basis_words(row.basis) for row in rows}
    return {
        "headline": headline(found),
        "overall": overall_sentence(found, setting),
        "tally": adherence.tally(rows),
        "falls": adherence.falls(rows),
        "sentence": lambda level: level_sentence(level, setting.interval),
        "gate_sentence": gate_sentence,
        "chip_of": _chip,
        "plot": _plot,
        "not_counted": lambda level: [
            (setting.title(id), (words.get(id) or why).rstrip(". ")) for id, why in level.left_out.items()
        ],
    }


SECTION = Section("verdict", "Verdict", read, _shown)
