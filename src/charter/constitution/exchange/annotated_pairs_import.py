"""Annotated pairs (ICAI 2406.06560, version 1 or 2) as principles with examples and votes.

An annotator of type ``principle`` becomes a principle. A pair on which it has a preference
becomes an example: GOOD is the response it prefers. How often it agrees with the default
annotator is kept as votes.
"""

from __future__ import annotations

from typing import Any, Literal

from charter.constitution.examples import Example
from charter.constitution.exchange.annotated_pairs import FORMAT_NAME
from charter.constitution.exchange.builder import Builder
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.inverse import selected_title
from charter.constitution.exchange.json_source import Item, as_item, read_value
from charter.constitution.exchange.pairs import example
from charter.constitution.principle import Principle, Provenance, Votes
from charter.errors import ConstitutionError

_SPEAKERS = ("system", "user", "assistant", "tool")
Side = Literal["a", "b"]


def read_annotated_pairs(text: str, path: str, options: ImportOptions) -> Imported:
    """A constitution from annotated pairs; at most ``options.examples`` examples per principle.

    Raises:
        ConstitutionError: not such a file, or a pair or preference that cannot be read.
    """
    whole = as_item(read_value(text, path), path)
    pairs = whole.objects("comparisons")
    annotators = _annotators(whole)
    asked = {id: who for id, who in annotators.items() if who.text("type") == "principle"}
    levels = _levels(whole, asked, options)
    builder = Builder(path, options, levels)
    default = _default(whole)
    others = len(annotators) - len(asked) - (default in annotators)
    if others:
        builder.left_out(path, f"{others} annotators that are no principle: their votes are not kept")
    for annotator, who in asked.items():
        builder.add(_principle(builder, annotator, who, pairs, default))
    return builder.done(FORMAT_NAME, {"annotators read": len(annotators), "pairs read": len(pairs)})


def _annotators(whole: Item) -> dict[str, Item]:
    value = whole.values.get("annotators")
    if not isinstance(value, dict):
        raise ConstitutionError("no 'annotators' object", where=whole.where)
    return {id: as_item(who, f"{whole.where}, annotator {id}") for id, who in value.items()}


def _default(whole: Item) -> str:
    metadata: Any = whole.values.get("metadata") or {}
    found = metadata.get("default_annotator", "") if isinstance(metadata, dict) else ""
    return found if isinstance(found, str) else ""


def _levels(whole: Item, asked: dict[str, Item], options: ImportOptions) -> list[str]:
    """The levels that the principles name, in the order the file gives; else the one of the options."""
    metadata: Any = whole.values.get("metadata") or {}
    given = metadata.get("levels") if isinstance(metadata, dict) else None
    levels = [level for level in given if isinstance(level, str)] if isinstance(given, list) else []
    named = [who.text("level") for who in asked.values()]
    levels += [level for level in dict.fromkeys(named) if level and level not in levels]
    return (
        levels if levels and all(named) else [*levels, *([] if options.level in levels else [options.level])]
    )


def _principle(builder: Builder, annotator: str, who: Item, pairs: list[Item], default: str) -> Principle:
    description = who.text("description", required=True)
    own_title = who.text("title")
    title = own_title or selected_title(description)
    text = who.text("statement") if own_title else description
    votes, examples = {"for": 0, "against": 0, "abstain": 0}, list[Example]()
    skipped = 0
    for pair in pairs:
        side = _preference(pair, annotator)
        reference = _preference(pair, default)
        if side is None:
            votes["abstain"] += _annotated(pair, annotator) and reference is not None
            continue
        if reference is not None:
            votes["for" if side == reference else "against"] += 1
        if len(examples) >= builder.options.examples:
            skipped += 1
        elif found := _example(builder, pair, side):
            examples.append(found)
    if skipped:
        most = builder.options.examples
        builder.left_out(who.where, f"{skipped} more pairs: {most} examples per principle are kept")
    known = any(votes.values()) and default
    return Principle(
        id=builder.id_for(who.where, annotator if own_title else "", title),
        title=builder.title(who.where, title),
        level=who.text("level") or builder.options.level,
        text=builder.statement(who.where, text),
        line=0,
        examples=tuple(examples),
        provenance=Provenance(
            source="annotated pairs",
            adopted_by=Votes(votes_for=votes["for"], against=votes["against"], abstain=votes["abstain"]),
        )
        if known
        else None,
    )


def _annotated(pair: Item, annotator: str) -> bool:
    annotations = pair.values.get("annotations")
    return isinstance(annotations, dict) and annotator in annotations


def _preference(pair: Item, annotator: str) -> Side | None:
    """Which side the annotator prefers; None where it has no preference or said nothing."""
    annotations = pair.values.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise ConstitutionError("'annotations' is not an object", where=pair.where)
    said = annotations.get(annotator) or {}
    preference = said.get("pref") if isinstance(said, dict) else None
    if preference in (None, "tie", "Not applicable"):
        return None
    if preference in ("a", "text_a"):
        return "a"
    if preference in ("b", "text_b"):
        return "b"
    raise ConstitutionError(f"unknown preference {preference!r} of {annotator!r}", where=pair.where)


def _example(builder: Builder, pair: Item, side: Side) -> Example | None:
    better, worse = _response(pair, side), _response(pair, "b" if side == "a" else "a")
    if not better or not worse:
        builder.left_out(pair.where, "a pair with an empty response")
        return None
    turns = _turns(pair)
    if not turns:
        builder.left_out(pair.where, "the pair has no prompt: the example begins with the answers")
    title = f"pair {pair.values.get('id', '')}".strip()
    return example(builder, pair.where, title, turns, [("good", better), ("bad", worse)])


def _response(pair: Item, side: Side) -> str:
    value = pair.values.get(f"response_{side}")
    if value is None:
        return pair.text(f"text_{side}", required=True)
    return as_item(value, f"{pair.where}, response_{side}").text("text", required=True)


def _turns(pair: Item) -> list[tuple[str, str]]:
    messages = pair.objects("messages")
    if messages:
        found = []
        for message in messages:
            role = message.one_of("role", _SPEAKERS)
            found.append((role or "user", message.text("content")))
        return found
    prompt = pair.text("prompt")
    return [("user", prompt)] if prompt else []
