"""Gathers the principles of a new constitution, and what of the source could not come along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from charter.constitution.canonical import canonical_text
from charter.constitution.constitution import Constitution
from charter.constitution.document import Heading
from charter.constitution.exchange import escape
from charter.constitution.exchange.imported import Imported, ImportOptions, Remark
from charter.constitution.exchange.naming import fresh_id, usable_id
from charter.constitution.front_matter import FrontMatter
from charter.constitution.parse import name_from
from charter.constitution.principle import Principle
from charter.errors import ConstitutionError

_VERSION = "0.1.0"


class Builder:
    """One import under way.

    Args:
        path: the source, as messages name it.
        options: what the source does not say.
        levels: levels of authority, highest first.
    """

    def __init__(self, path: str, options: ImportOptions, levels: Sequence[str]) -> None:
        self.path = path
        self.options = options
        self.levels = tuple(levels)
        self.principles: list[Principle] = []
        self.meta: dict[str, str] = {}
        self._headings: list[Heading] = []
        self._left_out: list[Remark] = []
        self._altered: list[Remark] = []

    @property
    def ids(self) -> list[str]:
        """Ids in use."""
        return [principle.id for principle in self.principles]

    def left_out(self, where: str, what: str) -> None:
        """Say that something did not come along."""
        self._left_out.append(Remark(where, what))

    def safe(self, where: str, what: str, text: str, written: str) -> str:
        """``written``, with a remark when more than the space around ``text`` had to change."""
        if "".join(written.split()) != "".join(text.split()):
            self._altered.append(Remark(where, f"{what}: escaped what has a meaning in the file"))
        return written

    def statement(self, where: str, text: str, ids: Sequence[str] = ()) -> str:
        """``text`` as a statement."""
        return self.safe(where, "statement", text, escape.statement(text, ids))

    def title(self, where: str, text: str) -> str:
        """``text`` as a title."""
        return self.safe(where, "title", text, escape.one_line(text))

    def section(self, where: str, title: str, depth: int) -> None:
        """A heading that is no principle."""
        written = self.safe(where, "section", title, escape.section_title(title))
        self._headings.append(Heading(depth, written, "", {}, 0))

    def id_for(self, where: str, wanted: str, title: str) -> str:
        """The id ``wanted`` (with only the characters an id may hold), or one from the title.

        Raises:
            ConstitutionError: the wanted id is taken.
        """
        id = usable_id(wanted)
        if not id:
            return fresh_id(title, self.ids)
        if id in self.ids:
            raise ConstitutionError(f"id {wanted!r} is used twice", where=where, fix="give each its own id")
        if id != wanted:
            self._altered.append(Remark(where, f"id {wanted!r} is written {id!r}"))
        return id

    def add(self, principle: Principle, depth: int = 2) -> None:
        """Take a principle under a heading of its own."""
        self.principles.append(principle)
        self._headings.append(Heading(depth, principle.title, principle.id, {}, 0))

    def done(self, format: str, counts: Mapping[str, int]) -> Imported:
        """The constitution, read back from the text that was written.

        Raises:
            ConstitutionError: there is no principle, or one cannot be written.
        """
        if not self.principles:
            raise ConstitutionError(
                "no principle found", where=self.path, fix="check the format with --format"
            )
        front = FrontMatter(
            name=self.options.name or name_from(Path(self.path).stem),
            version=_VERSION,
            licence=self.options.licence,
            levels=self.levels,
        )
        meant = Constitution(front, True, tuple(self.principles), tuple(self._headings), (), self.path)
        text = canonical_text(meant, self.meta)
        found = Constitution.from_text(text, self.path)
        made = {
            "principles": len(found.principles),
            "examples": sum(len(principle.examples) for principle in found.principles),
            "good x bad pairs": sum(len(principle.pairs()) for principle in found.principles),
            "tests": sum(len(principle.tests) for principle in found.principles),
        }
        return Imported(format, text, found, {**counts, **made}, tuple(self._left_out), tuple(self._altered))
