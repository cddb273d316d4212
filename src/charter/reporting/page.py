"""What every page shares: templates that escape, filters for numbers, and styles read from the package."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup

from charter.reporting import charts, words
from charter.stats import p_words, percent

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def page_template(name: str) -> Template:
    """The template ``NAME.html.j2``; an unknown variable in it is an error, all text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("charter.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        points=words.signed,
        p=p_words,
        p_short=words.p_short,
        number=charts.number,
        duration=words.duration,
        joined=_joined,
    )
    return environment.get_template(f"{name}.html.j2")


def styles(*names: str) -> Markup:
    """Style sheets ``NAME.css``, one after the other, to stand inside the page."""
    folder = resources.files("charter.reporting") / "templates"
    return Markup("".join((folder / f"{name}.css").read_text(encoding="utf-8") for name in names))


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)
