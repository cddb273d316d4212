"""Parts of a document, gathered under the heading they stand below."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from charter.constitution.document import Fence, Heading, Note, Part, Prose
from charter.constitution.examples import Example, read_example
from charter.errors import ConstitutionError, did_you_mean

BLOCKS = ("rubric", "rules", "tests", "provenance")
"""Second word of the ``yaml`` fences that belong to a principle."""

_EXAMPLE = re.compile(r"^\*\*Example(?:\*\*:|:\*\*)\s*(.*)$")
_LABELLED = re.compile(r"<comparison>|<assistant>\s*<!--\s*(?:GOOD|BAD)\b")


@dataclass
class Section:
    """What stands under one heading, until the next."""

    heading: Heading
    prose: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    blocks: dict[str, Fence] = field(default_factory=dict)


def read_sections(parts: Sequence[Part], path: str) -> Iterator[Section]:
    """One section per heading.

    Raises:
        ConstitutionError: an unknown or repeated block, an example without a conversation.
    """
    section: Section | None = None
    example: Prose | None = None
    for part in parts:
        if isinstance(part, Heading):
            _no_open_example(example, path)
            if section is not None:
                yield section
            section, example = Section(part), None
        elif isinstance(part, Prose) and _EXAMPLE.match(part.text):
            _no_open_example(example, path)
            example = part
        elif isinstance(part, Fence) and _is_example(part, example):
            title = _EXAMPLE.sub(r"\1", example.text) if example else ""
            line = example.line if example else part.line
            _needs_heading(section, part, path).examples.append(read_example(title, part, line, path))
            example = None
        elif isinstance(part, Fence) and part.info.split()[:1] == ["yaml"] and len(part.info.split()) > 1:
            _add_block(_needs_heading(section, part, path), part, path)
        elif section is not None:
            _add_text(section, part)
    _no_open_example(example, path)
    if section is not None:
        yield section


def _is_example(fence: Fence, example: Prose | None) -> bool:
    """An ``xml`` block counts when announced, or when it plainly holds labelled answers."""
    is_xml = fence.info.split()[:1] == ["xml"]
    return is_xml and (example is not None or _LABELLED.search(fence.text) is not None)


def _add_block(section: Section, fence: Fence, path: str) -> None:
    kind = " ".join(fence.info.split()[1:])
    where = f"{path}:{fence.line}"
    if kind not in BLOCKS:
        raise ConstitutionError(f"unknown block `yaml {kind}`", where=where, fix=did_you_mean(kind, BLOCKS))
    if kind in section.blocks:
        raise ConstitutionError(
            f"second `yaml {kind}` block of one principle",
            where=where,
            fix=f"merge it with the one on line {section.blocks[kind].line}",
        )
    section.blocks[kind] = fence


def _add_text(section: Section, part: Fence | Note | Prose) -> None:
    if isinstance(part, Prose):
        section.prose.append(part.text)
    elif isinstance(part, Fence):
        section.prose.append(f"```{part.info}\n{part.text}\n```")
    elif part.kind == "why":
        section.why.append(part.text)


def _needs_heading(section: Section | None, fence: Fence, path: str) -> Section:
    if section is None:
        raise ConstitutionError(
            f"block `{fence.info}` stands before the first heading",
            where=f"{path}:{fence.line}",
            fix="move it under the heading of its principle",
        )
    if not section.heading.id:
        raise ConstitutionError(
            f"block `{fence.info}` under a heading without an id",
            where=f"{path}:{fence.line}",
            fix="give the heading one: {#some_id}",
        )
    return section


def _no_open_example(example: Prose | None, path: str) -> None:
    if example is not None:
        raise ConstitutionError(
            "example without a conversation",
            where=f"{path}:{example.line}",
            fix="follow it with a ~~~xml block",
        )
