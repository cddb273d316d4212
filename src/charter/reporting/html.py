"""One self-contained HTML page of a report: no script, no network, all model text escaped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from charter.reporting.page import page_template, styles
from charter.reporting.read import read_report
from charter.reporting.report import Report
from charter.reporting.sections.adherence import missing_words
from charter.reporting.sections.order import SECTIONS
from charter.reporting.terms import Terms
from charter.reporting.words import STATUS_WORDS
from charter.rundir import write_text

MARKS = {"rose": "▲", "fell": "▼", "kept": "●", "measured": "●", "not_measured": "○"}


@dataclass(frozen=True, slots=True)
class Body:
    """A section, ready to be placed."""

    name: str
    title: str
    html: Markup


def write_report(run: Path, output: Path | None = None) -> Path:
    """Render a run's ``report.json``, and the parts beside it, and return where the page was written.

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
    terms = Terms()
    bodies = _bodies(report, terms)
    return page_template("page").render(
        report=report,
        css=styles("page", "report"),
        bodies=bodies,
        glossary=terms.used,
    )


def _bodies(report: Report, terms: Terms) -> list[Body]:
    """Every section that has something to show, in order; the terms that they name are kept."""
    setting = report.setting
    shared = {"setting": setting, "term": terms, "marks": MARKS, "status_words": STATUS_WORDS}
    bodies = []
    for section in SECTIONS:
        found = report.sections.get(section.name)
        if found is None or not section.worth(found):
            continue
        made = page_template(f"sections/{section.name}").render(
            found=found, missing_words=missing_words, **shared, **section.shown(found, setting)
        )
        bodies.append(Body(section.name, section.title, Markup(made)))
    return bodies
