"""A plain list: one principle a line, or one a bullet, under headings if there are any."""

from __future__ import annotations

import re
from collections.abc import Iterator

from charter.constitution.exchange.builder import Builder
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.naming import split_title
from charter.constitution.principle import Principle

FORMAT = "plain-list"
_BULLET = re.compile(r"[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+(\S.*)")
_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")


def read_plain_list(text: str, path: str, options: ImportOptions) -> Imported:
    """A constitution from lines; where there are bullets, only bullets are principles.

    Raises:
        ConstitutionError: there is no principle in it.
    """
    builder = Builder(path, options, (options.level,))
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    seen: dict[str, str] = {}
    read = 0
    for where, depth, said in _entries(lines, builder):
        if depth:
            builder.section(where, said, depth)
            continue
        read += 1
        key = " ".join(said.casefold().split()).rstrip(".")
        if key in seen:
            builder.left_out(where, f"the same as {seen[key]}")
            continue
        seen[key] = where
        title, rest = split_title(said)
        builder.add(
            Principle(
                id=builder.id_for(where, "", title),
                title=builder.title(where, title),
                level=options.level,
                text=builder.statement(where, rest),
                line=0,
            )
        )
    return builder.done(FORMAT, {"entries read": read})


def _entries(lines: list[str], builder: Builder) -> Iterator[tuple[str, int, str]]:
    """(where, depth of a heading or 0, text) of each heading and principle."""
    bulleted = any(_BULLET.fullmatch(line.rstrip()) for line in lines)
    open_at, open_lines = "", list[str]()
    for number, raw in enumerate(lines, start=1):
        line, where = raw.rstrip(), f"{builder.path}:{number}"
        bullet, heading = _BULLET.fullmatch(line), _HEADING.fullmatch(line)
        if open_lines and line[:1] in (" ", "\t") and not bullet:
            open_lines.append(line.strip())  # a line that goes on
            continue
        if open_lines and (line or not bulleted):
            yield open_at, 0, "\n".join(open_lines)
            open_lines = []
        if not line:
            continue
        if heading:
            yield where, len(heading[1]), heading[2]
        elif bullet:
            open_at, open_lines = where, [bullet[1]]
        elif bulleted:
            builder.left_out(where, f"not a bullet: {line.strip()[:60]!r}")
        else:
            open_at, open_lines = where, [line.strip()]
    if open_lines:
        yield open_at, 0, "\n".join(open_lines)
