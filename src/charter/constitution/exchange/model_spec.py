"""A Model Spec, or any constitution in Markdown: a copy with front matter, its tests gathered in.

The text stays as it is. Evaluation prompts that stand in a folder beside the Model Spec, one
file ``abcd.md`` for each footnote ``[^abcd]``, become tests of the principle with the footnote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from charter.constitution.constitution import Constitution
from charter.constitution.exchange.imported import Imported, ImportOptions, Remark
from charter.constitution.exchange.model_spec_tests import Gathered, gather, no_tests
from charter.constitution.parse import name_from
from charter.constitution.yaml_flow import flow
from charter.errors import ConstitutionError

FORMAT = "model-spec"


def read_model_spec(text: str, path: str, options: ImportOptions) -> Imported:
    """The same constitution, with front matter, line ends of one kind, and tests where they are given.

    Raises:
        ConstitutionError: the text cannot be read, or the folder of tests cannot.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip() + "\n"
    found = Constitution.from_text(plain, path)
    if found.has_front_matter and (options.name or options.licence):
        raise ConstitutionError(
            "the file has front matter of its own", where=f"{path}:1", fix="change name and licence there"
        )
    gathered = gather(found, plain, options.tests) if options.tests else no_tests()
    lines = _with_blocks(plain.split("\n"), gathered.blocks)
    head = "" if found.has_front_matter else _front_matter(found, path, options)
    written = head + "\n".join(lines)
    constitution = Constitution.from_text(written, path)
    _unchanged(found, constitution)
    return Imported(
        FORMAT,
        written,
        constitution,
        _counts(constitution, plain, gathered),
        gathered.left_out,
        _altered(text, path),
    )


def _front_matter(found: Constitution, path: str, options: ImportOptions) -> str:
    values = {"constitution": 1, "name": options.name or name_from(path), "version": "0.1.0"}
    values |= {"licence": options.licence} if options.licence else {}
    lines = [f"{key}: {flow(value)}" for key, value in (values | {"levels": list(found.levels)}).items()]
    return "\n".join(["---", *lines, "---", ""])


def _with_blocks(lines: list[str], blocks: Mapping[int, list[str]]) -> list[str]:
    """``lines`` with each block before the line of its number (from 1; after the last: at the end)."""
    found: list[str] = []
    for number, line in enumerate(lines, start=1):
        found += blocks.get(number, [])
        found.append(line)
    return [*found, *blocks.get(len(lines) + 1, [])]


def _unchanged(before: Constitution, after: Constitution) -> None:
    """The copy must hold the same principles; only tests may have come."""
    if [(p.id, p.sha) for p in before.principles] != [(p.id, p.sha) for p in after.principles]:
        raise ConstitutionError("the copy does not hold the same principles", where=before.path)


def _altered(text: str, path: str) -> tuple[Remark, ...]:
    found = []
    if "\r\n" in text:
        found.append(Remark(f"{path}:1", "line ends are now those of Unix"))
    if text.startswith("\ufeff"):
        found.append(Remark(f"{path}:1", "the byte order mark is gone"))
    return tuple(found)


def _counts(constitution: Constitution, text: str, gathered: Gathered) -> dict[str, int]:
    principles = constitution.principles
    levels = Counter(principle.level or "none" for principle in principles)
    labels = {
        label: sum(len(principle.answers(label)) for principle in principles)
        for label in ("good", "bad", "ok")
    }
    return {
        "headings": len(constitution.headings),
        "principles": len(principles),
        **{f"principles of level {level}": levels[level] for level in (*constitution.levels, "none")},
        "examples": sum(len(principle.examples) for principle in principles),
        **{f"{label.upper()} answers": number for label, number in labels.items()},
        "good x bad pairs": sum(len(principle.pairs()) for principle in principles),
        "internal links": len(constitution.links),
        "commentary notes": sum(line.startswith("!!! meta") for line in text.split("\n")),
        "tests": sum(len(principle.tests) for principle in principles),
        **gathered.counts,
    }
