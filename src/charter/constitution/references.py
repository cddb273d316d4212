"""Checks that need the whole file: ids are unique, and whatever names an id names one that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from charter.constitution.cases import Case, Conflict
from charter.constitution.document import Heading, Note, Part, Prose
from charter.constitution.examples import Answer
from charter.constitution.principle import Principle
from charter.constitution.sections import Section
from charter.errors import ConstitutionError, did_you_mean

_LINK = re.compile(r"\]\(#([^)\s]*)\)")


@dataclass(frozen=True, slots=True)
class Link:
    """A reference to a heading's id."""

    target: str
    line: int


def unique_ids(headings: Sequence[Heading], path: str) -> dict[str, int]:
    """Line of each id.

    Raises:
        ConstitutionError: an id is used twice.
    """
    lines: dict[str, int] = {}
    for heading in headings:
        if not heading.id:
            continue
        if heading.id in lines:
            raise ConstitutionError(
                f"id {heading.id!r} is already used on line {lines[heading.id]}",
                where=f"{path}:{heading.line}",
                fix="choose another id; one that is retired is not used again either",
            )
        lines[heading.id] = heading.line
    return lines


def _answers(sections: Sequence[Section]) -> Iterator[Answer]:
    for section in sections:
        for example in section.examples:
            for comparison in example.comparisons:
                yield from comparison.answers


def link_targets(text: str) -> tuple[str, ...]:
    """Ids that ``text`` links to, each once, in order."""
    return tuple(dict.fromkeys(_LINK.findall(text)))


def read_links(parts: Sequence[Part], sections: Sequence[Section]) -> Iterator[Link]:
    """Links in prose, notes and headings, and in the reasons of answers; not in what answers say."""
    texts: list[tuple[str, int]] = [(part.text, part.line) for part in parts if isinstance(part, Prose)]
    for part in parts:
        if isinstance(part, Note):
            texts += [(line, part.line + 1 + i) for i, line in enumerate(part.text.split("\n"))]
        elif isinstance(part, Heading):
            texts.append((part.title, part.line))
    texts += [(answer.reason, answer.line) for answer in _answers(sections)]
    for text, line in sorted(texts, key=lambda item: item[1]):
        for target in _LINK.findall(text):
            yield Link(target, line)


def check_links(
    links: Sequence[Link], sections: Sequence[Section], ids: Mapping[str, int], path: str
) -> None:
    """Every link, and every ``BAD[#id]``, must lead somewhere.

    Raises:
        ConstitutionError: one does not.
    """
    about = [Link(answer.about, answer.line) for answer in _answers(sections) if answer.about]
    for link in [*links, *about]:
        if link.target not in ids:
            raise ConstitutionError(
                f"link to {link.target!r}, which no heading has as its id",
                where=f"{path}:{link.line}",
                fix=did_you_mean(link.target, ids),
            )


def check_tests(principles: Sequence[Principle], path: str) -> None:
    """Conflict tests name principles of this file, and rule tests have rules.

    Raises:
        ConstitutionError: one does not.
    """
    ids = [principle.id for principle in principles]
    for principle in principles:
        for case in principle.tests:
            _check_case(principle, case, ids, path)


def _check_case(principle: Principle, case: Case, ids: Sequence[str], path: str) -> None:
    where = f"{path}:{case.line}"
    if isinstance(case.config, Conflict):
        if case.config.against not in ids:
            raise ConstitutionError(
                f"conflict test {case.id!r} names an unknown principle {case.config.against!r}",
                where=where,
                fix=did_you_mean(case.config.against, ids),
            )
        if case.config.expect_winner not in (principle.id, case.config.against):
            raise ConstitutionError(
                f"conflict test {case.id!r} expects {case.config.expect_winner!r} to win",
                where=where,
                fix=f"expect_winner is {principle.id!r} or {case.config.against!r}",
            )
    if case.kind == "rule" and case.rules is None and principle.rules is None:
        raise ConstitutionError(
            f"rule test {case.id!r} has no rules, and neither has its principle",
            where=where,
            fix="add `rules: {all: [...]}` to the test or a `yaml rules` block to the principle",
        )
