"""A constitution's Markdown as a flat list of parts: headings, fences, notes and prose.

Only what the format needs is read. Lines inside a fence are never headings.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from charter.errors import ConstitutionError, did_you_mean

NOTES = ("why", "meta")
"""``!!! why`` gives a principle's reason, ``!!! meta`` comments; neither instructs the model."""

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*$")
_ATTRIBUTES = re.compile(r"\{\s*(#[^{}]*|\w+=[^{}]*)\}$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*(.*?)[ \t]*$")
_NOTE = re.compile(r'^!!![ \t]*(\w*)[ \t]*(?:"(.*)")?[ \t]*$')
_ID = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")


@dataclass(frozen=True, slots=True)
class Heading:
    """``## Title {#id key=value}``."""

    depth: int
    title: str
    id: str
    attributes: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block; ``line`` is that of the opening fence."""

    info: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Note:
    """``!!! kind "Title"`` and the indented lines under it."""

    kind: str
    title: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Prose:
    """One line of anything else."""

    text: str
    line: int


Part = Heading | Fence | Note | Prose


@dataclass(frozen=True, slots=True)
class Document:
    """The file in parts.

    Attributes:
        front_matter: the YAML head without its ``---`` lines; None when there is none.
        front_matter_line: line its YAML begins on.
        parts: everything below, in order.
    """

    front_matter: str | None
    front_matter_line: int
    parts: tuple[Part, ...]


def read_document(text: str, path: str) -> Document:
    """Split ``text`` into parts.

    Raises:
        ConstitutionError: nothing in the file, an unclosed fence or front matter, a bad heading or note.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if not text.strip():
        raise ConstitutionError("the file is empty", where=path, fix="start with `charter constitution new`")
    front, start = _front_matter(lines, path)
    return Document(front, 2, tuple(_parts(lines, start, path)))


def _front_matter(lines: list[str], path: str) -> tuple[str | None, int]:
    if lines[0].rstrip() != "---":
        return None, 0
    for index in range(1, len(lines)):
        if lines[index].rstrip() == "---":
            return "\n".join(lines[1:index]), index + 1
    raise ConstitutionError("front matter is not closed", where=f"{path}:1", fix="end it with a line `---`")


def _parts(lines: list[str], start: int, path: str) -> Iterator[Part]:
    index = start
    while index < len(lines):
        line = lines[index]
        if fence := _FENCE.match(line):
            part, index = _fence(lines, index, fence, path)
            yield part
        elif line.startswith("!!!"):
            note, index = _note(lines, index, path)
            yield note
        elif heading := _HEADING.match(line):
            yield _heading(heading, f"{path}:{index + 1}", index + 1)
            index += 1
        else:
            yield Prose(line.rstrip(), index + 1)
            index += 1


def _fence(lines: list[str], index: int, opening: re.Match[str], path: str) -> tuple[Part, int]:
    mark, info = opening[1], opening[2]
    if mark[0] == "`" and "`" in info:  # inline code that happens to begin a line
        return Prose(lines[index].rstrip(), index + 1), index + 1
    for end in range(index + 1, len(lines)):
        closing = _FENCE.match(lines[end])
        if closing and closing[1].startswith(mark) and not closing[2]:
            return Fence(info, "\n".join(lines[index + 1 : end]), index + 1), end + 1
    raise ConstitutionError(
        f"fenced block `{mark}{info}` is never closed",
        where=f"{path}:{index + 1}",
        fix=f"end it with a line `{mark}`",
    )


def _note(lines: list[str], index: int, path: str) -> tuple[Note, int]:
    found = _NOTE.match(lines[index])
    kind = found[1] if found else ""
    if found is None or kind not in NOTES:
        raise ConstitutionError(
            f"unknown note {lines[index].strip()!r}",
            where=f"{path}:{index + 1}",
            fix=f'write `!!! why "Reason"` or `!!! meta "Commentary"`; {did_you_mean(kind, NOTES)}',
        )
    end = index + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][:1] in " \t"):
        end += 1
    body = textwrap.dedent("\n".join(lines[index + 1 : end])).strip()
    return Note(kind, found[2] or "", body, index + 1), end


def _heading(found: re.Match[str], where: str, line: int) -> Heading:
    depth, title = len(found[1]), found[2]
    written = _ATTRIBUTES.search(title)
    if written is None:
        return Heading(depth, re.sub(r"[ \t]+#+$", "", title), "", {}, line)
    identifier, attributes = _attributes(written[1], where)
    return Heading(depth, title[: written.start()].rstrip(), identifier, attributes, line)


def _attributes(text: str, where: str) -> tuple[str, dict[str, str]]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConstitutionError(f"bad heading attributes {{{text}}}: {error}", where=where) from None
    identifier, attributes = "", {}
    for word in words:
        key, equals, value = word.partition("=")
        if word.startswith("#") and not identifier:
            identifier = word[1:]
        elif not equals or key in attributes:
            raise ConstitutionError(
                f"bad heading attribute {word!r}", where=where, fix="write {#id key=value}, each key once"
            )
        else:
            attributes[key] = value
    if not identifier:
        raise ConstitutionError(
            "heading has attributes but no id", where=where, fix="begin them with `#some_id`"
        )
    if not _ID.match(identifier):
        raise ConstitutionError(
            f"bad id {identifier!r}", where=where, fix="use letters, digits, dots, dashes and underscores"
        )
    return identifier, attributes
