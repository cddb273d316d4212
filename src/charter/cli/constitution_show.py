"""``charter constitution show``: a constitution, or one principle of it, to read."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.errors import ConfigError

if TYPE_CHECKING:
    from charter.constitution.outline import Entry, Outline

_WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""

_NARROWEST = 30


def show_command(
    file: Annotated[Path, typer.Argument(help="The constitution, NAME.constitution.md.", metavar="FILE")],
    principle: Annotated[
        str | None, typer.Argument(help="Id of the one principle to show in full.", metavar="[ID]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page for browsers.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
) -> None:
    """Show principles by level, with reasons and how each is measured; or one of them in full."""
    from charter.constitution import Constitution

    _check(principle, as_json, html, force)
    constitution = Constitution.load(file)
    if as_json:
        typer.echo(
            constitution.to_json()
            if principle is None
            else json.dumps(constitution.principle(principle).to_dict(), indent=2, ensure_ascii=False)
        )
        return
    from charter.constitution.outline import entry, outline

    if html is not None:
        from charter.reporting.constitution import write_constitution

        write_constitution(html, outline(constitution).to_dict())
        typer.echo(f"wrote {html}")
        return
    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
    if principle is None:
        lines = page_lines(outline(constitution), width)
    else:
        one = constitution.principle(principle)
        lines = full_lines(entry(constitution, one), one.level or "without a level", width)
    for line in lines:
        typer.echo(line)


def _check(principle: str | None, as_json: bool, html: Path | None, force: bool) -> None:
    from charter.cli.constitution_exchange import can_write

    if html is None:
        if force:
            raise ConfigError("only a page is overwritten", where="--force", fix="add --html FILE")
        return
    for given, what in ((principle is not None, "one principle"), (as_json, "--json")):
        if given:
            raise ConfigError(
                f"a page shows the whole constitution: {what} and --html exclude each other", where="--html"
            )
    can_write(html, force)


# -- the page -----------------------------------------------------------------


def page_lines(found: Outline, width: int) -> Iterator[str]:
    """The whole, by level, in lines of at most ``width`` where words allow it."""
    yield f"{found.name} {found.version}" + (f", {found.licence}" if found.licence else "")
    yield f"sha {found.sha[:12]}"
    yield from _wrapped(found.measured, width)
    levels = " > ".join(f"{level.name} ({len(level.entries)})" for level in found.levels)
    yield from _wrapped(f"levels: {levels}", width)
    if found.empty:
        yield from _wrapped(f"levels without a principle: {', '.join(found.empty)}", width)
    for level in found.levels:
        head = level.name.upper() + (f": {level.override}" if level.override else "")
        yield from ("", "", *_wrapped(head, width), "-" * min(width, len(head)))
        for one in level.entries:
            yield ""
            yield from _brief(one, width)
    if found.retired:
        yield from ("", "", *_wrapped(f"retired, and never used again: {', '.join(found.retired)}", width))


def _brief(one: Entry, width: int) -> Iterator[str]:
    yield from _wrapped(f"{one.title} [{one.id}]", width)
    yield from _statement(one, width)
    yield from _wrapped(f"measured {one.measured}", width, "  ")
    yield from _wrapped(f"examples: {one.examples}; tests: {one.tests}", width, "  ")


def _statement(one: Entry, width: int) -> Iterator[str]:
    if one.about:
        yield from _wrapped(one.about, width, "  ")
    if one.text:
        yield from _wrapped(one.text, width, "  ")
    if one.why:
        yield from _wrapped(f"Why: {one.why}", width, "  ")


def full_lines(one: Entry, level: str, width: int) -> Iterator[str]:
    """One principle with everything about it."""
    yield from _wrapped(f"{one.title} [{one.id}]", width)
    yield from _wrapped(f"level: {level}", width, "  ")
    yield from _statement(one, width)
    yield from _wrapped(f"measured {one.measured}", width, "  ")
    if one.links:
        yield from _wrapped(f"names: {', '.join(one.links)}", width, "  ")
    if one.linked:
        yield from _wrapped(f"named by: {', '.join(one.linked)}", width, "  ")
    if one.rubric:
        yield from ("", "Rubric")
        for key, text in one.rubric:
            yield from _wrapped(f"{key}: {text}", width, "  ")
    yield from ("", f"Examples: {one.examples}")
    for title, steps in one.shown:
        yield from ("", *_wrapped(title or "without a title", width, "  "))
        for who, text in steps:
            yield from _wrapped(who, width, "    ")
            yield from _wrapped(text, width, "      ")
    yield from ("", f"Tests: {one.tests}")
    for name, text in one.asked:
        yield from _wrapped(name, width, "  ")
        yield from _wrapped(text, width, "    ")
    if one.adopted:
        yield from ("", "Where it comes from")
        for line in one.adopted:
            yield from _wrapped(line, width, "  ")


def _wrapped(text: str, width: int, indent: str = "") -> Iterator[str]:
    """Each line of ``text`` broken at words; what is longer than a line, such as a link, stays whole."""
    for line in text.split("\n"):
        own = line[: len(line) - len(line.lstrip())]
        yield from textwrap.wrap(
            line.strip(),
            width,
            initial_indent=indent + own,
            subsequent_indent=indent + own,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
