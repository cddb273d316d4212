"""One self-contained HTML page of a constitution, for people who read and decide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.reporting.node import printable
from charter.reporting.page import page_template, styles
from charter.rundir import write_text


def write_constitution(path: Path, outline: Mapping[str, Any]) -> None:
    """Write the page, atomically.

    Args:
        path: of the page.
        outline: the constitution in words, as its ``outline`` gives it.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    write_text(path, render_constitution(outline))


def render_constitution(outline: Mapping[str, Any]) -> str:
    """The page; equal outlines give equal pages."""
    return page_template("constitution").render(
        css=styles("page", "constitution"), law=_printable(dict(outline))
    )


def _printable(value: Any) -> Any:
    """``value`` without what no page can hold."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {key: _printable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(one) for one in value]
    return value
