"""The judge, and what its card lets it judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections.basis import chip_of
from charter.reporting.words import count, listed

RESULTS: Mapping[str, tuple[str, str, str]] = {
    "pass": ("✓", "passes", "gate-pass"),
    "fail": ("✕", "fails", "gate-fail"),
    "undecided": ("?", "undecided", "gate-undecided"),
    "not_measured": ("○", "not measured", "not_measured"),
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion of a card."""

    name: str
    result: str
    why: str


@dataclass(frozen=True, slots=True)
class Share:
    """How often the judge is right on one kind of answer, of ``n`` whose truth is known."""

    rate: float
    lo: float | None
    hi: float | None
    n: int | None


@dataclass(frozen=True, slots=True)
class Examined:
    """The judge under one principle; numbers are on people's labels, or where there are none on examples."""

    principle: str
    title: str
    use: str
    why: str
    sensitivity: Share | None
    specificity: Share | None
    on_examples: bool
    kappa: float | None
    alpha: float | None
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge; ``carded`` is false where it has no card."""

    name: str
    carded: bool
    wide: tuple[Criterion, ...]
    principles: tuple[Examined, ...]
    left_out: Mapping[str, int]


def read(source: Source) -> Judge | None:
    """The ``judge`` of a report."""
    node = source.report.child("judge")
    if node.missing:
        return None
    card = node.child("card")
    return Judge(
        name=node.text("name") or card.text("judge"),
        carded=not card.missing,
        wide=tuple(_criterion(item) for item in card.children("judge_wide")),
        principles=tuple(_examined(item) for item in card.children("principles")),
        left_out=card.counts("left_out"),
    )


def sentence(found: Judge) -> str:
    """What the judge did, and what it may do."""
    told = f"{found.name or 'A judge'} judged what rules leave open."
    if not found.carded:
        return f"{told} It has no card: how often it errs is not known."
    used = [one for one in found.principles if one.use in ("calibrated", "uncalibrated")]
    examined = count(len(found.principles), "principle")
    told += f" It was examined on {examined} first and is used for {len(used) or 'none'}."
    refused = [one.title for one in found.principles if one.use == "refused"]
    return f"{told} It failed for {listed(refused)}, and is not used there." if refused else told


def _examined(node: Node) -> Examined:
    labelled = node.child("errors")
    errors = node.child("example_errors") if labelled.missing else labelled
    return Examined(
        principle=node.text("principle"),
        title=node.text("title"),
        use=node.text("use"),
        why=node.text("why"),
        sensitivity=_share(errors, "sensitivity", "good"),
        specificity=_share(errors, "specificity", "bad"),
        on_examples=labelled.missing and not errors.missing,
        kappa=node.child("kappa").number("value"),
        alpha=node.child("agreement").number("value"),
        criteria=tuple(_criterion(item) for item in node.children("criteria")),
    )


def _share(node: Node, key: str, of: str) -> Share | None:
    if node.number(key) is None:
        return None
    lo, hi = node.interval(f"{key}_interval") or (None, None)
    return Share(node.rate(key), lo, hi, None if node.number(of) is None else round(node.must_number(of)))


def _criterion(node: Node) -> Criterion:
    return Criterion(node.text("name"), node.text("result"), node.text("why"))


def _shown(found: Judge, setting: Setting) -> dict[str, Any]:
    return {
        "sentence": sentence(found),
        "chip_of": chip_of,
        "result_of": lambda result: RESULTS.get(result, ("●", result, "kept")),
        "on_examples": any(one.on_examples for one in found.principles),
        "people": any(one.kappa is not None or one.alpha is not None for one in found.principles),
    }


SECTION = Section(
    "judges", "Who judged, and how well", read, _shown, lambda found: bool(found.name or found.carded)
)
