"""A proposal: a Markdown file beside the constitution, written as the constitution is.

Markdown, because the new text of a principle then stands in it exactly as it will stand in the
constitution, with its rules, examples and tests, and is reviewed and compared as such. YAML would
indent and quote every line of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from charter.config import Config
from charter.constitution.amending.edit import (
    FENCE,
    Written,
    end_of_fence,
    front_pieces,
    headed_pieces,
    joined,
    key_pieces,
    lines_of,
    piece_text,
    sha_of,
    with_principles,
    with_settings,
)
from charter.constitution.constitution import Constitution
from charter.constitution.document import Fence, Heading, read_document
from charter.constitution.yaml_block import YamlBlock
from charter.constitution.yaml_flow import flow
from charter.errors import ConstitutionError
from charter.rundir import sha256_json

Status = Literal["open", "adopted", "rejected"]
SETTINGS = "yaml settings"
PROVENANCE = "yaml provenance"
_SETTING = "--- "
"""Before a front matter key in ``replaces``; no principle's id can begin so."""
_FIXED = ("constitution", "name", "version")


class Head(Config):
    """The front matter of a proposal; a draft needs ``title`` alone."""

    proposal: Literal[1] = 1
    """Version of the file format."""
    id: Annotated[int, Field(ge=0)] = 0
    """Given by ``propose``."""
    title: Annotated[str, Field(min_length=1)]
    author: str = ""
    date: str = ""
    constitution: str = ""
    """Name of the constitution's file, in the folder above."""
    status: Status = "open"
    base: str = ""
    """sha256 of the text of the constitution that it changes."""
    replaces: Mapping[str, str] = Field(default_factory=dict)
    """What it replaces: beginning of the sha256 of each old piece; "" = there was none."""
    after: Mapping[str, str] = Field(default_factory=dict)
    """For a new principle, the one it comes after; else it comes last."""


@dataclass(frozen=True)
class Proposal:
    """A proposal as its file says it.

    Attributes:
        head: its front matter.
        body: the file below the front matter, as written.
        reasons: what stands before the change.
        principles: new text by principle id.
        settings: new text by front matter key.
        path: the file.
    """

    head: Head
    body: str
    reasons: str
    principles: Mapping[str, list[Written]]
    settings: Mapping[str, list[Written]]
    path: Path = field(compare=False)

    @property
    def number(self) -> str:
        """Its id as people write it: ``0007``."""
        return f"{self.head.id:04d}"

    @property
    def open(self) -> bool:
        """Can it be voted on?"""
        return self.head.status == "open"

    @property
    def sha(self) -> str:
        """sha256 of what is voted on: title, reasons, the change, and the very text it replaces.

        Not of author, date and status, nor of the rest of the constitution: when something else
        in it changes, votes stay valid.
        """
        said = {"title": self.head.title, "body": self.body.strip(), "after": dict(self.head.after)}
        return sha256_json({**said, "replaces": dict(self.head.replaces)})

    def pieces_of(self, text: str, path: str) -> dict[str, str]:
        """What it replaces in ``text``: beginning of the sha256 by name, "" where there is nothing yet."""
        here = headed_pieces(text, path)
        found = {id: sha_of(piece_text(text, here.get(id)))[:16] for id in self.principles}
        if self.settings:
            front = front_pieces(text, path)
            found |= {_SETTING + key: sha_of(piece_text(text, front.get(key)))[:16] for key in self.settings}
        return found

    def moved_in(self, text: str, path: str) -> list[str]:
        """Names of what it replaces that is not, in ``text``, what it was."""
        now = self.pieces_of(text, path)
        return [name for name in now if now[name] != self.head.replaces.get(name)]

    def applied_to(self, base: Constitution, text: str) -> str:
        """``text`` of ``base`` with the change made.

        Raises:
            ConstitutionError: the result is no constitution (at the proposal's own line where it can
                be), or it is the same.
        """
        path = base.path
        self._check_places(base)
        lines = with_settings(text, self.settings, path)
        lines = with_principles(lines, self.principles, self.head.after, path)
        new = joined(lines)
        try:
            made = Constitution.from_text(new, path)
        except ConstitutionError as error:
            raise self._at_home(error, lines, path) from None
        for id in self.principles:
            if not any(principle.id == id for principle in made.principles):
                raise ConstitutionError(
                    f"{id!r} would be a heading, not a principle",
                    where=str(self.path),
                    fix="give it a level: {#" + id + " authority=LEVEL}",
                )
        if sha_of(new) == sha_of(text):
            raise ConstitutionError("the proposal changes nothing", where=str(self.path))
        return new

    def _check_places(self, base: Constitution) -> None:
        known = {principle.id for principle in base.principles}
        structure = {heading.id for heading in base.headings if heading.id} - known
        for id in self.principles:
            if id in structure:
                raise ConstitutionError(
                    f"{id!r} is a heading of the constitution, not a principle", where=str(self.path)
                )
        for id, neighbour in self.head.after.items():
            if id not in self.principles or id in known:
                raise ConstitutionError(
                    f"after names {id!r}, which is no new principle of this proposal", where=str(self.path)
                )
            if neighbour not in known | structure | set(self.principles):
                raise ConstitutionError(
                    f"after names an unknown principle {neighbour!r}", where=str(self.path)
                )

    def _at_home(self, error: ConstitutionError, lines: list[Written], path: str) -> ConstitutionError:
        """``error`` in the edited text as one of the proposal, where the line came from it."""
        number = (error.where or "").rpartition(":")[2]
        line = lines[int(number) - 1] if number.isdigit() and 0 < int(number) <= len(lines) else None
        if line is not None and line.origin:
            return ConstitutionError(error.what, where=f"{self.path}:{line.origin}", fix=error.fix)
        return ConstitutionError(
            f"the constitution would be wrong: {error.what}", where=str(self.path), fix=error.fix
        )


def read_proposal(path: Path, text: str) -> Proposal:
    """The proposal in ``text``, found at ``path``.

    Raises:
        ConstitutionError: with ``file:line``: no front matter or title, an unknown key, no change.
    """
    name = str(path)
    document = read_document(text, name)
    if document.front_matter is None:
        raise ConstitutionError(
            "a proposal begins with front matter", where=f"{name}:1", fix="write `---`, `title: ...`, `---`"
        )
    block = YamlBlock(document.front_matter, name, document.front_matter_line)
    head = block.build(Head, block.mapping(block.value))
    lines = lines_of(text)
    start = len(document.front_matter.split("\n")) + 2
    headings = [part for part in document.parts if isinstance(part, Heading)]
    blocks = [part for part in document.parts if isinstance(part, Fence) and part.info == SETTINGS]
    first = min((h.line for h in headings if h.id), default=len(lines) + 1)
    settings = _settings(blocks, first, name)
    principles = _principles(headings, lines, name)
    if not settings and not principles:
        raise ConstitutionError(
            "the proposal changes nothing",
            where=name,
            fix="add the new text of a principle under its heading, `## Title {#id authority=LEVEL}`",
        )
    before = blocks[0].line if blocks else first
    reasons = "\n".join(lines[start : before - 1]).strip()
    return Proposal(head, "\n".join(lines[start:]), reasons, principles, settings, path)


def _principles(headings: list[Heading], lines: list[str], name: str) -> dict[str, list[Written]]:
    found: dict[str, list[Written]] = {}
    ends = [heading.line - 1 for heading in headings[1:]] + [len(lines)]
    for heading, end in zip(headings, ends, strict=False):
        where = f"{name}:{heading.line}"
        if not heading.id:
            if found:
                raise ConstitutionError(
                    f"heading {heading.title!r} below the change has no id",
                    where=where,
                    fix="move reasons above the first principle, or give the heading {#id authority=LEVEL}",
                )
            continue
        if heading.id in found:
            raise ConstitutionError(f"principle {heading.id!r} stands here twice", where=where)
        numbered = enumerate(lines[heading.line - 1 : end], start=heading.line)
        found[heading.id] = [Written(line, number) for number, line in numbered]
    return found


def _settings(blocks: list[Fence], first: int, name: str) -> dict[str, list[Written]]:
    if not blocks:
        return {}
    if len(blocks) > 1 or blocks[0].line > first:
        raise ConstitutionError(
            f"one `{SETTINGS}` block, above the first principle",
            where=f"{name}:{blocks[-1].line}",
            fix="move its keys there",
        )
    lines = blocks[0].text.split("\n")
    offset = blocks[0].line + 1
    found = {}
    for key, piece in key_pieces(lines, name, offset).items():
        if key in _FIXED:
            what = "is raised when the amendment is made" if key == "version" else "cannot be amended"
            raise ConstitutionError(f"{key!r} {what}", where=f"{name}:{offset + piece.start}")
        numbered = enumerate(lines[piece.start : piece.end], start=offset + piece.start)
        found[key] = [Written(line, number) for number, line in numbered]
    return found


def written(head: Head, body: str) -> str:
    """The file of a proposal."""
    values = head.model_dump(mode="json")
    if not values["after"]:
        del values["after"]
    lines = [f"{key}: {flow(value)}" for key, value in values.items()]
    return "\n".join([FENCE, *lines, FENCE, "", body.strip(), ""])


def draft_of(constitution: Constitution, text: str, ids: Sequence[str]) -> str:
    """A draft to begin with: the present text of principles, to be edited.

    What the votes and amendments before left in the provenance stays without standing in it.

    Raises:
        ConstitutionError: an unknown principle.
    """
    pieces = headed_pieces(text, constitution.path)
    bodies = []
    for id in ids:
        lines = piece_text(text, pieces[constitution.principle(id).id]).split("\n")
        bodies.append("\n".join(_without_provenance(lines)).rstrip())
    head = [FENCE, 'title: ""', FENCE, "", "Say here why.", ""]
    return "\n".join(head) + "\n" + "\n\n".join(bodies) + "\n"


def _without_provenance(lines: list[str]) -> list[str]:
    for part in read_document("\n".join(lines), "draft").parts:
        if isinstance(part, Fence) and part.info == PROVENANCE:
            return [*lines[: part.line - 1], *lines[end_of_fence(lines, part) :]]
    return lines


def slug_of(title: str) -> str:
    """A title as part of a file name."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    slug = ""
    for word in words:
        if slug and len(slug) + len(word) >= 40:
            break
        slug = f"{slug}-{word}" if slug else word[:40]
    return slug or "proposal"
