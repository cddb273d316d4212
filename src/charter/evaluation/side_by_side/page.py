"""One self-contained HTML page of checkpoints side by side."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from charter.evaluation.side_by_side.chart import pareto_chart
from charter.evaluation.side_by_side.compare import SideBySide
from charter.evaluation.side_by_side.ratings import Rating
from charter.rundir import write_text
from charter.stats import p_words, percent, points

if TYPE_CHECKING:
    from jinja2 import Template


def write_page(path: Path, found: SideBySide) -> None:
    """Write the page, atomically.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    write_text(path, render(found))


def render(found: SideBySide) -> str:
    """The page; equal findings give equal pages."""
    drawn = found.pareto if found.pareto is not None and found.pareto.places else None
    levels: dict[str, list[object]] = {}
    for row in found.rows:
        levels.setdefault(row.level, []).append(row)
    return _template().render(
        css=Markup(_page_css() + _resource("templates/side_by_side.css")),
        found=found,
        first=found.names[0],
        levels=levels,
        plot=None if drawn is None else pareto_chart(drawn),
        pareto=found.pareto,
        ratings=[(one, *_bar(one, found.ratings.ratings)) for one in found.ratings.ratings],
        verdict=verdict(found),
        shade=_shade,
    )


def verdict(found: SideBySide) -> str:
    """The finding in a sentence or two."""
    told = []
    rated = found.ratings.ratings
    if rated:
        top = [one.name for one in rated if one.best_rank == 1]
        if len(top) == 1:
            told.append(f"{top[0]} is the strongest, told apart from all others.")
        elif len(top) == len(rated):
            told.append("No checkpoint can be told apart from the best by who wins more prompts.")
        else:
            told.append(f"The data cannot tell which of {_listed(top)} is the strongest.")
    for status, word in (("rose", "rises"), ("fell", "falls")):
        claims = [
            (row.title, name) for row in found.rows for name, c in row.cells.items() if c.status == status
        ]
        told.append(
            f"{len(claims) or 'No'} {word if len(claims) != 1 else word[:-1]} against {found.names[0]}."
        )
    return " ".join(told)


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _bar(one: Rating, ratings: tuple[Rating, ...]) -> tuple[Markup, str]:
    """A rating on its interval, and the ranks it leaves open."""
    low, high = min(r.lo for r in ratings), max(r.hi for r in ratings)
    wide = (high - low) or 1.0

    def at(value: float) -> str:
        return f"{3 + 94 * (value - low) / wide:.2f}%"

    zero = ""
    if low < 0 < high:
        zero = Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="28"/>').format(at(0.0))
    words = f"{one.name}: {one.rating:+.2f}, interval {one.lo:+.2f} to {one.hi:+.2f}"
    svg = Markup(
        '<svg class="rating" role="img" aria-label="{}" height="28">{}'
        '<line class="reach" x1="{}" x2="{}" y1="14" y2="14"/><circle cx="{}" cy="14" r="5"/></svg>'
    ).format(words, zero, at(one.lo), at(one.hi), at(one.rating))
    rank = str(one.best_rank) if one.best_rank == one.worst_rank else f"{one.best_rank} to {one.worst_rank}"
    return svg, rank


def _shade(rate: float | None) -> str:
    """How far a win rate is from even, for the colour of its field: ``win-3`` to ``lose-3``."""
    if rate is None or abs(rate - 0.5) < 0.05:
        return "even"
    step = min(3, 1 + int((abs(rate - 0.5) - 0.05) / 0.125))
    return f"{'win' if rate > 0.5 else 'lose'}-{step}"


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("charter.evaluation.side_by_side", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, points=points, p=p_words)
    return environment.get_template("side_by_side.html.j2")


def _page_css() -> str:
    return (resources.files("charter.reporting") / "templates" / "page.css").read_text(encoding="utf-8")


def _resource(name: str) -> str:
    return (resources.files("charter.evaluation.side_by_side") / name).read_text(encoding="utf-8")
