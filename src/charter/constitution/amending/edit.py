"""Pieces of a constitution file as text: where a principle stands, and where a key of the front matter does.

What is not replaced stays as it was written, comments and blank lines included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from charter.constitution.document import Fence, Heading, read_document
from charter.errors import ConstitutionError

FENCE = "---"


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines ``start`` to ``end`` (0-based, half open) of a text."""

    start: int
    end: int


def lines_of(text: str) -> list[str]:
    """The lines, counted as the constitution's own reader counts them."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")


def headed_pieces(text: str, path: str) -> dict[str, Piece]:
    """By id: each heading that has one, with everything below it, until the next heading of any kind."""
    headings = [part for part in read_document(text, path).parts if isinstance(part, Heading)]
    ends = [heading.line - 1 for heading in headings[1:]] + [len(lines_of(text))]
    return {
        heading.id: Piece(heading.line - 1, end)
        for heading, end in zip(headings, ends, strict=False)
        if heading.id
    }


def key_pieces(lines: list[str], path: str, first_line: int) -> dict[str, Piece]:
    """By key: the lines of each top-level key of a YAML mapping, without remarks that follow it."""
    try:
        node = yaml.compose("\n".join(lines), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        raise ConstitutionError(f"bad YAML: {error.problem}", where=f"{path}:{line}") from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ConstitutionError("expected `key: value` lines", where=f"{path}:{first_line}")
    found = {}
    for key, value in node.value:
        start = key.start_mark.line
        end = value.end_mark.line + (value.end_mark.column > 0)
        while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1
        found[str(key.value)] = Piece(start, max(end, start + 1))
    return found


def front_pieces(text: str, path: str) -> dict[str, Piece]:
    """By key: the lines of the front matter's keys, in ``text``.

    Raises:
        ConstitutionError: there is no front matter.
    """
    lines = lines_of(text)
    front = read_document(text, path).front_matter
    if front is None:
        raise ConstitutionError(
            "there is no front matter, so no version to raise",
            where=f"{path}:1",
            fix="begin the file with `---`, the keys (name, version, levels), and `---`",
        )
    inside = key_pieces(lines[1 : 1 + len(front.split("\n"))], path, 2)
    return {key: Piece(piece.start + 1, piece.end + 1) for key, piece in inside.items()}


def end_of_fence(lines: Sequence[str], fence: Fence) -> int:
    """The line after the one that closes ``fence``."""
    end = fence.line + 1
    while lines[end - 1].strip()[:3] not in ("```", "~~~"):
        end += 1
    return end


def piece_text(text: str, piece: Piece | None) -> str:
    """Its lines without blank ones at the end; "" for none."""
    return "" if piece is None else "\n".join(lines_of(text)[piece.start : piece.end]).rstrip()


def sha_of(text: str) -> str:
    """sha256 of a text; line ends, white space at the end and a byte-order mark do not count."""
    plain = "\n".join(lines_of(text)).rstrip()
    return hashlib.sha256(plain.encode()).hexdigest() if plain else ""


@dataclass(frozen=True, slots=True)
class Written:
    """A line of an edited text: itself, and the line of the proposal it came from (0 = from the old text)."""

    text: str
    origin: int = 0


def with_settings(text: str, settings: Mapping[str, list[Written]], path: str) -> list[Written]:
    """``text`` with keys of its front matter replaced; keys it lacks come last in it."""
    lines = [Written(line) for line in lines_of(text)]
    if not settings:
        return lines
    pieces = front_pieces(text, path)
    end = 1 + next(number for number, line in enumerate(lines[1:]) if line.text.rstrip() == FENCE)
    replaced = [(pieces.get(key, Piece(end, end)), new) for key, new in settings.items()]
    for piece, new in sorted(replaced, key=lambda one: (one[0].start, one[0].end), reverse=True):
        lines[piece.start : piece.end] = new
    return lines


def with_principles(
    lines: list[Written],
    principles: Mapping[str, list[Written]],
    after: Mapping[str, str],
    path: str,
) -> list[Written]:
    """``lines`` with principles replaced, and new ones behind what ``after`` names, else at the end."""
    found = list(lines)
    for id, new in principles.items():
        pieces = headed_pieces(joined(found), path)
        if id in pieces:
            piece = pieces[id]
        else:
            neighbour = pieces.get(after.get(id, ""))
            place = len(found) if neighbour is None else neighbour.end
            piece = Piece(place, place)
        head = found[: piece.start]
        while head and not head[-1].text.strip():
            head.pop()
        tail = found[piece.end :]
        while tail and not tail[0].text.strip():
            tail.pop(0)
        found = [*_spaced(head), *_stripped(new), Written(""), *tail]
    return found


def joined(lines: Iterable[Written]) -> str:
    """The text; it ends in one line break."""
    return "\n".join(line.text for line in lines).rstrip("\n") + "\n"


def _spaced(lines: list[Written]) -> list[Written]:
    return [*lines, Written("")] if lines else []


def _stripped(lines: list[Written]) -> list[Written]:
    kept = list(lines)
    while kept and not kept[-1].text.strip():
        kept.pop()
    return kept
