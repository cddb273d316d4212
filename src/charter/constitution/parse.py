"""Text of a constitution file -> front matter, headings, links and principles."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from charter.constitution.cases import read_cases
from charter.constitution.document import Heading, read_document
from charter.constitution.front_matter import FrontMatter, read_front_matter
from charter.constitution.principle import Attributes, Principle, Provenance, Rubric
from charter.constitution.references import Link, check_links, check_tests, read_links, unique_ids
from charter.constitution.rule_tree import Rules, read_rules
from charter.constitution.sections import Section, read_sections
from charter.constitution.yaml_block import YamlBlock, explained
from charter.errors import ConstitutionError, did_you_mean


@dataclass(frozen=True, slots=True)
class Parsed:
    """Everything a file says."""

    front: FrontMatter
    has_front_matter: bool
    headings: tuple[Heading, ...]
    links: tuple[Link, ...]
    principles: tuple[Principle, ...]


def parse(text: str, path: str) -> Parsed:
    """Read a constitution.

    Raises:
        ConstitutionError: with ``file:line``; see docs/constitution.md for what is checked.
    """
    document = read_document(text, path)
    if document.front_matter is None:
        front = FrontMatter(name=name_from(path))
    else:
        front = read_front_matter(YamlBlock(document.front_matter, path, document.front_matter_line))
    headings = tuple(part for part in document.parts if isinstance(part, Heading))
    lines_of_ids = unique_ids(headings, path)
    sections = list(read_sections(document.parts, path))
    principles = [_principle(section, front, path) for section in sections]
    found = tuple(principle for principle in principles if principle is not None)
    if not found:
        raise ConstitutionError(
            "no principle found",
            where=path,
            fix="a principle is a heading with an id and a level: `## Be honest {#honest authority=user}`",
        )
    links = tuple(read_links(document.parts, sections))
    check_links(links, sections, lines_of_ids, path)
    check_tests(found, path)
    return Parsed(front, document.front_matter is not None, headings, links, found)


def _principle(section: Section, front: FrontMatter, path: str) -> Principle | None:
    heading = section.heading
    measurable = section.examples or any(kind in section.blocks for kind in ("rubric", "rules", "tests"))
    if not heading.id or not (heading.attributes or measurable):
        return None
    attributes = _attributes(heading, front.levels, path)
    if not (attributes.authority or measurable):
        raise ConstitutionError(
            "heading has attributes but no authority",
            where=f"{path}:{heading.line}",
            fix=f"add authority=LEVEL; levels: {', '.join(front.levels)}",
        )
    blocks = {kind: YamlBlock(fence.text, path, fence.line + 1) for kind, fence in section.blocks.items()}
    return Principle(
        id=heading.id,
        title=heading.title,
        level=attributes.authority,
        text="\n".join(section.prose).strip(),
        line=heading.line,
        type=attributes.type,
        weight=attributes.weight,
        hard=attributes.hard,
        tags=attributes.tags,
        status=attributes.status,
        rationale="\n\n".join(section.why),
        rubric=_rubric(blocks, front),
        rules=_rules(blocks),
        examples=tuple(section.examples),
        tests=read_cases(blocks["tests"]) if "tests" in blocks else (),
        provenance=_provenance(blocks),
    )


def _attributes(heading: Heading, levels: tuple[str, ...], path: str) -> Attributes:
    where = f"{path}:{heading.line}"
    try:
        attributes = Attributes.model_validate(_typed(heading.attributes))
    except ValidationError as error:
        raise ConstitutionError(explained(error, Attributes), where=where) from None
    if attributes.authority and attributes.authority not in levels:
        raise ConstitutionError(
            f"unknown level {attributes.authority!r}",
            where=where,
            fix=did_you_mean(attributes.authority, levels),
        )
    return attributes


def _typed(written: Mapping[str, str]) -> dict[str, Any]:
    """Heading attributes are text; give numbers, truth values and lists their type."""
    values: dict[str, Any] = dict(written)
    if "hard" in values:
        values["hard"] = {"true": True, "false": False}.get(values["hard"], values["hard"])
    if "tags" in values:
        values["tags"] = tuple(tag for tag in values["tags"].split(",") if tag)
    with contextlib.suppress(ValueError):  # left as text, for the validator to name
        values["weight"] = float(values.get("weight", 1.0))
    return values


def _rubric(blocks: Mapping[str, YamlBlock], front: FrontMatter) -> Rubric | None:
    if "rubric" not in blocks:
        return None
    block = blocks["rubric"]
    rubric = block.build(Rubric, block.value if block.value is not None else {})
    for level in rubric.levels:
        if not 1 <= level <= front.judge.scale:
            raise block.error(
                f"rubric level {level} is not on the scale 1 to {front.judge.scale}",
                "levels",
                level,
                fix="change it, or `judge: {scale: ...}` in the front matter",
            )
    if not rubric.levels:
        raise block.error("the rubric names no levels", fix="add `levels: {1: ..., 5: ...}`")
    return rubric


def _rules(blocks: Mapping[str, YamlBlock]) -> Rules | None:
    return read_rules(blocks["rules"], blocks["rules"].value) if "rules" in blocks else None


def _provenance(blocks: Mapping[str, YamlBlock]) -> Provenance | None:
    if "provenance" not in blocks:
        return None
    block = blocks["provenance"]
    return block.build(Provenance, block.mapping(block.value))


def name_from(path: str) -> str:
    """The name a file suggests for the constitution in it."""
    stem = Path(path).name.removesuffix(".md").removesuffix(".constitution")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "constitution"
