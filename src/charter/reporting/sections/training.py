"""How the model was trained, with its curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.errors import UserError
from charter.reporting import charts
from charter.reporting.node import Node, printable
from charter.reporting.overoptimisation import NAMESPACE, Measured, Peak, overoptimisation_chart
from charter.reporting.section import Section, Setting, Source

_CURVES = (
    ("kl", "KL from the base, nats per sequence", 0.0),
    ("loss", "Training loss", None),
    ("rewards/margins", "Reward margin", None),
    ("rewards/accuracies", "Reward accuracy", None),
)


@dataclass(frozen=True, slots=True)
class Training:
    """How the model was trained. ``curves`` hold (step, value) points."""

    algorithm: str
    steps: int | None
    stopped_by: str
    options: tuple[tuple[str, str], ...]
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    kl_limit: float | None
    overoptimisation: tuple[Overoptimised, ...] = ()


@dataclass(frozen=True, slots=True)
class Overoptimised:
    """A held-out reward over the run, ready to draw."""

    name: str
    proxy: str
    points: tuple[Measured, ...]
    curve: tuple[tuple[float, float, float, float], ...]
    peak: Peak | None
    words: str


def read(source: Source) -> Training | None:
    """The ``training`` of a report."""
    node = source.report.child("training")
    if node.missing:
        return None
    return Training(
        algorithm=node.text("algorithm"),
        steps=node.count("steps"),
        stopped_by=node.text("stopped_by"),
        options=tuple(node.child("options").items()),
        curves=_curves(node.child("curves")),
        kl_limit=node.number("kl_limit"),
        overoptimisation=tuple(_overoptimised(one) for one in node.children("overoptimisation")),
    )


def _overoptimised(node: Node) -> Overoptimised:
    peak = node.child("peak")
    places = []
    for number, place in enumerate(node.value.get("curve") or ()):
        four = Node({"place": place}, node.where, f"{node.path}.curve[{number}]").numbers("place")
        if len(four) != 4 or None in four:
            raise UserError(f"{node.path}.curve[{number}] must be four numbers", where=node.where)
        places.append(tuple(value for value in four if value is not None))
    return Overoptimised(
        name=node.text("name") or node.text("gold"),
        proxy=node.text("proxy"),
        points=tuple(
            Measured(*(one.must_number(key) for key in ("d", "proxy", "gold")))
            for one in node.children("points")
        ),
        curve=tuple((a, b, c, d) for a, b, c, d in places),
        peak=None if peak.missing else Peak(*(peak.must_number(key) for key in ("d", "lo", "hi"))),
        words=node.text("words"),
    )


def _curves(node: Node) -> dict[str, tuple[tuple[float, float], ...]]:
    """Lists beside ``step``, and lists of ``[step, value]`` pairs; gaps are left out of a line."""
    steps = node.numbers("step")
    curves: dict[str, tuple[tuple[float, float], ...]] = {}
    for name, value in node.value.items():
        if name == "step" or not value:
            continue
        if isinstance(value, list) and isinstance(value[0], list):
            curves[printable(name)] = node.points(name)
            continue
        numbers = node.numbers(name)
        if len(numbers) != len(steps):
            raise UserError(
                f"{node.path}.{name} has {len(numbers)} values for {len(steps)} steps", where=node.where
            )
        pairs = zip(steps, numbers, strict=True)
        curves[printable(name)] = tuple((x, y) for x, y in pairs if x is not None and y is not None)
    return curves


def _drawn(found: Training) -> list[charts.LineChart]:
    """The known curves that were recorded, then any other."""
    known = {name for name, _, _ in _CURVES}
    others = [(name, name, None) for name in found.curves if name not in known]
    return [
        charts.line_chart(points, title, floor=floor, limit=found.kl_limit if name == "kl" else None)
        for name, title, floor in [*_CURVES, *others]
        if (points := found.curves.get(name))
    ]


def _overoptimisation(found: Overoptimised) -> Markup:
    words = f"{found.name} against {found.proxy}: {found.words}"
    drawn = overoptimisation_chart(found.points, found.curve, found.peak, words)
    return Markup(drawn.replace(NAMESPACE, "", 1))  # within a page it needs none


def _shown(found: Training, setting: Setting) -> dict[str, Any]:
    return {"curves": _drawn(found), "overoptimisation": _overoptimisation}


SECTION = Section("training", "How it was trained", read, _shown)
