"""One self-contained HTML page of a report: no script, no network, all model text escaped."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from charter.reporting import charts, words
from charter.reporting.content import Health, Report, Row, Training
from charter.reporting.read import read_report
from charter.rundir import write_text
from charter.stats import p_words, percent

if TYPE_CHECKING:
    from jinja2 import Template

MARKS = {"rose": "▲", "fell": "▼", "kept": "●", "measured": "●", "not_measured": "○"}
GATE_MARKS = {"pass": "✓", "fail": "✕", "undecided": "?"}
VERDICTS = {True: ("✓", "passed"), False: ("✕", "failed")}

_CURVES = (
    ("kl", "KL from the base, nats per sequence", 0.0),
    ("loss", "Training loss", None),
    ("rewards/margins", "Reward margin", None),
    ("rewards/accuracies", "Reward accuracy", None),
)


def write_report(run: Path, output: Path | None = None) -> Path:
    """Render a run's ``report.json`` and return where the page was written.

    Args:
        run: the run directory.
        output: the page; ``report.html`` in the run directory by default.

    Raises:
        UserError: see :func:`charter.reporting.read.read_report`.
        EnvironmentFault: the page cannot be written.
    """
    page = render_html(read_report(run))
    target = output or run / "report.html"
    write_text(target, page)
    return target


def render_html(report: Report) -> str:
    """The page; equal reports give equal pages."""
    return _template().render(
        report=report,
        adherence=report.adherence,
        css=Markup(_resource("page.css")),
        verdict=words.verdict(report),
        tally=words.tally(report),
        falls=words.falls(report),
        limits=words.limits(report),
        titles={row.id: row.title for row in report.adherence.principles},
        forest=_forest,
        curves=_curves(report.training),
        pairs=_pairs(report),
        total_seconds=_total(report),
        grid=charts.GRID,
        marks=MARKS,
        gate_marks=GATE_MARKS,
        verdicts=VERDICTS,
        status_words=words.STATUS_WORDS,
        shown=_shown,
        limit_of=_limit_of,
        missing_words=words.missing_words,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("charter.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, points=words.signed, p=p_words, number=charts.number, duration=words.duration
    )
    return environment.get_template("page.html.j2")


def _resource(name: str) -> str:
    return (resources.files("charter.reporting") / "templates" / name).read_text(encoding="utf-8")


def _forest(row: Row) -> Markup:
    return charts.forest_row(row.before, row.after, label=row.title, status=row.status)


def _curves(training: Training | None) -> list[charts.LineChart]:
    """The known curves that were recorded, then any other."""
    if training is None:
        return []
    known = {name for name, _, _ in _CURVES}
    others = [(name, name, None) for name in training.curves if name not in known]
    return [
        charts.line_chart(points, title, floor=floor, limit=training.kl_limit if name == "kl" else None)
        for name, title, floor in [*_CURVES, *others]
        if (points := training.curves.get(name))
    ]


def _total(report: Report) -> float | None:
    """Time of all stages; None when one was not recorded."""
    seconds = [stage.seconds for stage in report.stages if stage.seconds is not None]
    return sum(seconds) if len(seconds) == len(report.stages) else None


def _pairs(report: Report) -> list[dict[str, Any]]:
    """Pairs per principle in the constitution's order, with bar widths in percent of the largest."""
    counts = report.data.pairs_per_principle
    if counts is None:
        return []
    titles = {row.id: row.title for row in report.adherence.principles}
    names = [*titles, *(name for name in counts if name not in titles)]
    most = max(counts.values(), default=0)
    return [
        {
            "title": titles.get(name, name),
            "count": counts.get(name),
            "width": 100 * counts.get(name, 0) / most if most else 0.0,
        }
        for name in names
    ]


def _shown(measure: Health) -> tuple[str, str]:
    """Before and after with the same digits; a measure taken on one model only has a dash for the other."""
    known = [value for value in (measure.before, measure.after) if value is not None]
    like = max(known, key=abs, default=0.0)
    before, after = (
        "not measured" if value is None else charts.number(value, like=like)
        for value in (measure.before, measure.after)
    )
    return ("\N{EN DASH}" if measure.before is None and known else before), after


def _limit_of(measure: Health) -> str:
    if measure.limit:
        return measure.limit
    return "\N{EN DASH}" if measure.limit_number is None else charts.number(measure.limit_number)
