"""The alignment tax: what the model lost elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Change, Rate, read_change, read_rate
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.words import listed, signed

CHIPS: Mapping[str, tuple[str, str, str]] = {
    "fell": ("▼", "fell", "fell"),
    "suspect": ("▼", "may have fallen", "gate-undecided"),
    "rose": ("▲", "rose", "rose"),
    "kept": ("●", "kept", "kept"),
    "floor": ("○", "too hard to tell", "not_measured"),
    "not_measured": ("○", "not measured", "not_measured"),
}

_MEASURES = {"words": "Words per answer", "perplexity": "Perplexity on unrelated text"}


@dataclass(frozen=True, slots=True)
class Task:
    """One task; ``k`` is that of pass@k."""

    name: str
    source: str
    k: int | None
    n: int | None
    missing: int
    before: Rate | None
    after: Rate | None
    change: Change | None
    status: str
    why: str


@dataclass(frozen=True, slots=True)
class Shift:
    """A measure that is no rate."""

    label: str
    before: float
    after: float
    diff: float
    lo: float | None
    hi: float | None


@dataclass(frozen=True, slots=True)
class Tax:
    """All tasks and shifts; ``cut`` is the share of answers cut by the limit, before and after, by task."""

    model: str
    base: str
    tasks: tuple[Task, ...]
    shifts: tuple[Shift, ...]
    cut: Mapping[str, tuple[float, float]]


def read(source: Source) -> Tax | None:
    """The part ``tax``."""
    node = source.part("tax")
    if node.missing:
        return None
    cut = node.child("truncated")
    return Tax(
        model=node.text("model"),
        base=node.text("base"),
        tasks=tuple(_task(item) for item in node.children("rows")),
        shifts=tuple(_shift(item) for item in node.children("shifts")),
        cut={name: ends for name in cut.value if (ends := cut.interval(name)) is not None},
    )


def sentence(found: Tax) -> str:
    """What was lost, in a sentence."""
    lost = [_name(task) for task in found.tasks if task.status == "fell" and task.name != "all"]
    together = next((task for task in found.tasks if task.name == "all"), None)
    if lost:
        return f"It lost skill: {listed(lost)}."
    if together is not None and together.status == "fell":
        return "No single task fell for certain, but all of them together did."
    measured = [task for task in found.tasks if task.status not in ("not_measured", "floor")]
    if not measured:
        return "No task could show a loss."
    ruled = [-min(task.change.lo, 0.0) for task in measured if task.change]
    most = (
        f" A loss of more than {signed(max(ruled)).lstrip('+')} points is ruled out for each of them."
        if ruled
        else ""
    )
    return f"No loss was found.{most}"


def _name(task: Task) -> str:
    name = "All tasks together" if task.name == "all" else task.name.replace("_", " ")
    return f"{name} (best of {task.k})" if task.k and task.k > 1 else name


def _task(node: Node) -> Task:
    return Task(
        name=node.text("task"),
        source=node.text("source"),
        k=node.count("k"),
        n=node.count("n"),
        missing=node.count("missing") or 0,
        before=read_rate(node, "before"),
        after=read_rate(node, "after"),
        change=read_change(node),
        status=node.text("status"),
        why=node.text("why"),
    )


def _shift(node: Node) -> Shift:
    name = node.text("measure")
    before, after, diff = (node.must_number(key) for key in ("before", "after", "diff"))
    return Shift(_MEASURES.get(name, name), before, after, diff, node.number("lo"), node.number("hi"))


def _shown(found: Tax, setting: Setting) -> dict[str, Any]:
    changes = [task.change for task in found.tasks if task.change]
    reach = charts.reach_of(end for one in changes for end in (one.lo, one.hi))

    def plot(task: Task) -> Markup:
        assert task.change is not None
        one = task.change
        told = f"{signed(one.diff)} points, interval {signed(one.lo)} to {signed(one.hi)}"
        return charts.difference_row(
            one.diff, one.lo, one.hi, reach=reach, label=_name(task), told=told, status=task.status
        )

    return {
        "sentence": sentence(found),
        "name": _name,
        "chip_of": lambda status: CHIPS.get(status, ("●", status, "kept")),
        "plot": plot,
        "reach": reach,
        "num": lambda value: charts.number(value).replace("-", "\N{MINUS SIGN}"),
        "cut": [(name.replace("_", " "), *ends) for name, ends in found.cut.items() if any(ends)],
    }


SECTION = Section(
    "tax", "What did it lose elsewhere?", read, _shown, lambda found: bool(found.tasks or found.shifts)
)
