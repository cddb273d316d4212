"""SpecEval statements (2509.02464): JSON Lines with type, authority level and worked examples.

Unlike SpecEval's own reader, an unknown type or level and a line that is not JSON are errors.
"""

from __future__ import annotations

from typing import Any, cast, get_args

from charter.constitution.examples import Example, Label
from charter.constitution.exchange.builder import Builder
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.json_source import Item, read_objects
from charter.constitution.exchange.naming import split_title
from charter.constitution.exchange.pairs import example
from charter.constitution.principle import Principle, PrincipleType
from charter.errors import ConstitutionError

FORMAT = "speceval"
LEVELS = ("platform", "developer", "user", "guideline")
_TYPES: tuple[str, ...] = get_args(PrincipleType)
_KEYS = {
    "id",
    "text",
    "type",
    "authority_level",
    "section",
    "subsection",
    "related_statements",
    "metadata",
}
_EXAMPLE_KEYS = {"description", "user_query", "good_response", "bad_response"}


def read_speceval(text: str, path: str, options: ImportOptions) -> Imported:
    """A constitution from SpecEval's statements; sections become headings, relations links.

    Raises:
        ConstitutionError: a bad line, an unknown type or level, an id used twice, an empty statement.
    """
    builder = Builder(path, options, LEVELS)
    items = read_objects(text, path)
    ids = [item.text("id", required=True) for item in items]
    section = subsection = ""
    for item in items:
        if item.text("section") not in ("", section):
            section, subsection = item.text("section"), ""
            builder.section(item.where, section, 1)
        if item.text("subsection") not in ("", subsection):
            subsection = item.text("subsection")
            builder.section(item.where, subsection, 2)
        builder.add(_principle(builder, item, ids), 3 if subsection else 2)
    for principle, item in zip(builder.principles, items, strict=True):
        _related(builder, principle.id, item, dict(zip(ids, builder.ids, strict=True)))
    return builder.done(FORMAT, {"statements read": len(items)})


def _principle(builder: Builder, item: Item, ids: list[str]) -> Principle:
    statement = item.text("text", required=True)
    level = item.one_of("authority_level", LEVELS)
    if not level:
        raise ConstitutionError(
            "no 'authority_level'", where=item.where, fix=f"give one of {', '.join(LEVELS)}"
        )
    kind = item.one_of("type", _TYPES)
    if not kind:
        builder.left_out(item.where, "the statement has no type")
    for key in sorted(item.values.keys() - _KEYS):
        builder.left_out(item.where, f"unknown key {key!r}")
    title, rest = split_title(statement)
    return Principle(
        id=builder.id_for(item.where, item.text("id"), title),
        title=builder.title(item.where, title),
        level=level,
        text=builder.statement(item.where, rest, ids),
        line=0,
        type=cast(PrincipleType, kind) if kind else None,
        examples=tuple(_examples(builder, item)),
    )


def _examples(builder: Builder, item: Item) -> list[Example]:
    metadata: Any = item.values.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise ConstitutionError("'metadata' is not an object", where=item.where)
    for key in sorted(metadata.keys() - {"examples"}):
        builder.left_out(item.where, f"metadata {key!r}")
    found = []
    for part in Item(metadata, item.where).objects("examples"):
        for key in sorted(part.values.keys() - _EXAMPLE_KEYS):
            builder.left_out(part.where, f"unknown key {key!r}")
        labels: tuple[tuple[Label, str], ...] = (("good", "good_response"), ("bad", "bad_response"))
        answers = [(label, part.text(key)) for label, key in labels if part.text(key)]
        query = part.text("user_query")
        if not answers or not query:
            missing = "without an answer" if query else "without a user_query"
            builder.left_out(part.where, f"example {missing}")
            continue
        if len(answers) < len(labels):
            missing = "bad" if answers[0][0] == "good" else "good"
            builder.left_out(part.where, f"the example has no {missing}_response")
        found.append(example(builder, part.where, part.text("description"), [("user", query)], answers))
    return found


def _related(builder: Builder, id: str, item: Item, written: dict[str, str]) -> None:
    """Relations as links in a note, which a model is not instructed by."""
    known = []
    for other in item.items("related_statements"):
        if isinstance(other, str) and other in written:
            known.append(f"[?](#{written[other]})")
        else:
            builder.left_out(item.where, f"related statement {other!r} is not in the file")
    if known:
        builder.meta[id] = "See also " + ", ".join(known)
