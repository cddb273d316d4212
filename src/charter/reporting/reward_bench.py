"""One self-contained HTML page of a reward model's test, from ``reward_bench.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from charter.errors import UserError
from charter.reporting import charts
from charter.reporting.content import Rate
from charter.reporting.node import Node
from charter.reporting.page import page_template, styles
from charter.reporting.reliability import Point, reliability_chart
from charter.rundir import read_json, write_text
from charter.stats import percent

JSON, PAGE = "reward_bench.json", "reward_bench.html"


@dataclass(frozen=True, slots=True)
class Line:
    """One subset, ready to draw: always the longest (open mark), and the reward model (filled)."""

    name: str
    n: int
    longest: Rate
    model: Rate
    ties: int
    change: float
    lo: float
    hi: float
    p: float

    @property
    def status(self) -> str:
        """``rose`` or ``fell`` where the interval of the difference leaves out 0."""
        return "rose" if self.lo > 0 else "fell" if self.hi < 0 else "kept"


def write_reward_bench(directory: Path) -> Path:
    """Render ``reward_bench.json`` of a directory as ``reward_bench.html`` beside it.

    Raises:
        UserError: it is missing, or holds something else.
    """
    source = directory / JSON
    value = read_json(source)
    if value is None:
        raise UserError("no such file, or not JSON", where=str(source), fix="run charter reward-bench again")
    write_text(directory / PAGE, render_reward_bench(Node(value, str(source))))
    return directory / PAGE


def render_reward_bench(report: Node) -> str:
    """The page; equal reports give equal pages."""
    overall = _line(report.must_child("overall"))
    lines = [_line(node) for node in report.children("subsets")]
    style, within = report.child("style"), report.child("style_within")
    return page_template("reward_bench").render(
        css=styles("page", "reward_bench"),
        models=report.texts("models"),
        data=report.text("data"),
        created=report.text("created"),
        as_chat=report.flag("as_chat"),
        level=report.number("level") or 0.95,
        left_out=sorted(report.counts("left_out").items()),
        overall=overall,
        lines=lines,
        sections=[(node.text("name"), node.rate("score")) for node in report.children("sections")],
        verdict=_verdict(overall),
        forest=_forest,
        grid=charts.GRID,
        calibration=_calibration(report.child("calibration")),
        lengths=_correlations(report),
        style=None if style.missing else (style.must_number("r2"), style.must_number("adjusted")),
        within=None if within.missing else (within.must_number("r2"), within.must_number("adjusted")),
        effects=_effects(style),
    )


@dataclass(frozen=True, slots=True)
class Reliability:
    """Calibration, ready to place."""

    svg: Markup
    ece: float
    log_loss: float
    brier: float
    points: tuple[Point, ...]


def _calibration(node: Node) -> Reliability | None:
    if node.missing:
        return None
    made = tuple(
        Point(
            int(item.must_number("n")),
            item.rate("stated"),
            item.must_number("right") / item.must_number("n"),
            item.rate("lo"),
            item.rate("hi"),
        )
        for item in node.children("bins")
        if item.must_number("n")
    )
    return Reliability(
        reliability_chart(made, lowest=0.5),
        node.rate("ece"),
        node.must_number("log_loss"),
        node.must_number("brier"),
        made,
    )


def _correlations(report: Node) -> list[tuple[str, float, float, float]]:
    named = (("all answers", "length"), ("two answers to one prompt", "length_within"))
    return [
        (words, node.must_number("spearman"), node.must_number("lo"), node.must_number("hi"))
        for words, key in named
        if not (node := report.child(key)).missing
    ]


def _effects(style: Node) -> list[tuple[str, float, float]]:
    """Name, effect, and width of its bar in percent; the strongest first."""
    effects = style.child("effects")
    found = [(name, effects.must_number(name)) for name in effects.value]
    most = max((abs(value) for _, value in found), default=0.0) or 1.0
    ordered = sorted(found, key=lambda pair: (-abs(pair[1]), pair[0]))
    return [(name, value, 100 * abs(value) / most) for name, value in ordered]


def _line(node: Node) -> Line:
    model, longest, difference = (node.must_child(key) for key in ("model", "longest", "difference"))
    return Line(
        node.text("name"),
        int(model.must_number("n")),
        _rate(longest),
        _rate(model),
        int(model.must_number("ties")),
        difference.must_number("value"),
        difference.must_number("lo"),
        difference.must_number("hi"),
        difference.rate("p"),
    )


def _rate(node: Node) -> Rate:
    return Rate(node.rate("rate"), node.rate("lo"), node.rate("hi"), node.count("right"), node.count("n"))


def _forest(line: Line) -> Markup:
    return charts.forest_row(line.longest, line.model, label=line.name, status=line.status)


def _verdict(overall: Line) -> str:
    """The finding in one sentence."""
    against = {
        "rose": "better than",
        "fell": "worse than",
        "kept": "not told apart from",
    }[overall.status]
    return (
        f"It orders {percent(overall.model.rate)} of {overall.n} pairs as the data does "
        f"({percent(overall.model.lo)} to {percent(overall.model.hi)}): {against} always choosing the "
        f"longest answer ({percent(overall.longest.rate)})."
    )
