"""Battles of LMArena (2403.04132): two anonymous models, a vote with ties and both bad.

Two forms: ``winner`` with ``conversation_a`` and ``conversation_b``; and ``winner_model_a``,
``winner_tie`` and their like with ``prompt``, ``response_a``, ``response_b`` as lists of turns in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from charter.data.columns import require
from charter.data.public.parts import flag, item_of, transcript
from charter.data.rows import Row, Rows
from charter.data.turns import check_order, parse_turns
from charter.errors import DataError
from charter.feedback.label_io.imported import Collector
from charter.feedback.label_io.pseudonym import pseudonym
from charter.feedback.label_io.revealed import revealed
from charter.feedback.label_io.words import Said
from charter.types import Message

_WINNERS: dict[str, Said] = {
    "model_a": Said("pair", value=1),
    "model_b": Said("pair", value=-1),
    "tie": Said("pair", "tie"),
    "tie (bothbad)": Said("pair", "both_bad"),
    "tie (both bad)": Said("pair", "both_bad"),
    "both_bad": Said("pair", "both_bad"),
}
_KEPT = ("turn", "language", "tstamp", "judge_hash", "category_tag")


def fits(values: Mapping[str, Any]) -> bool:
    """Whether a row is a battle."""
    if "model_a" not in values or "model_b" not in values:
        return False
    return "winner" in values or "winner_model_a" in values


def read(rows: Rows, found: Collector) -> None:
    """Hand every vote to ``found``; void ones are left out, with what voids them."""
    found.each(rows, lambda row: _battle(row, found))


def _battle(row: Row, found: Collector) -> None:
    said = _said(row)
    models = tuple(str(require(row, name)[1]) for name in ("model_a", "model_b"))
    if "anony" in row.values and not flag(row, "anony"):
        found.skip(row.source, "void: the models were named before the vote (anony is false)")
        return
    if "conversation_a" in row.values:
        sides = [_turns(row, f"conversation_{side}") for side in "ab"]
    elif "prompt" in row.values and "response_a" in row.values:
        sides = [_flat_turns(row, f"response_{side}") for side in "ab"]
    else:
        raise DataError("a battle without its conversations", where=row.source)
    for model, side in zip(models, sides, strict=True):
        answers = "\n".join(turn.content for turn in side if turn.role == "assistant")
        if revealed(model, answers):
            found.skip(row.source, "void: a model named itself or its maker")
            return
    _vote(row, found, said, models, sides)


def _vote(
    row: Row, found: Collector, said: Said, models: tuple[str, ...], sides: list[tuple[Message, ...]]
) -> None:
    if sides[0][0] != sides[1][0]:
        raise DataError("the two conversations do not begin with the same question", where=row.source)
    prompt = sides[0][0].content
    answers = tuple(transcript(side[1:]) for side in sides)
    item = str(row.values.get("question_id") or row.values.get("id") or item_of(prompt, *answers))
    judge = row.values.get("judge") or row.values.get("evaluation_session_id")
    found.add(
        row.source,
        id=f"arena-{item}-{row.values.get('judge', '')}".rstrip("-"),
        item=f"arena-{item}",
        rater=pseudonym(judge, "arena"),
        kind=said.kind,
        outcome=said.outcome,
        value=said.value,
        prompt=prompt,
        answers=answers,
        models=models,
        shown=(0, 1),  # a stood on the left
        at="" if row.values.get("timestamp") is None else str(row.values["timestamp"]),
        meta={name: row.values[name] for name in _KEPT if row.values.get(name) is not None},
    )


def _said(row: Row) -> Said:
    if "winner" in row.values:
        winner = str(row.values["winner"]).strip()
        if winner not in _WINNERS:
            raise DataError(f"the winner is {winner!r}", where=row.source)
        return _WINNERS[winner]
    columns = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
    won = [name for column, name in columns.items() if column in row.values and flag(row, column)]
    if len(won) != 1:
        raise DataError(f"{len(won)} winners", where=row.source)
    return _WINNERS[won[0]]


def _turns(row: Row, name: str) -> tuple[Message, ...]:
    value = row.values[name]
    if isinstance(value, str):
        value = _decoded(value, row.source, name)
    if not isinstance(value, list | tuple):
        raise DataError(f"{name!r} is no conversation", where=row.source)
    return _checked(parse_turns(value, where=row.source, column=name), row.source, name)


def _flat_turns(row: Row, name: str) -> tuple[Message, ...]:
    """Prompts and answers in two lists."""
    asked, said = (_texts(row, one) for one in ("prompt", name))
    if len(asked) != len(said):
        raise DataError(f"{len(asked)} prompts for {len(said)} answers in {name!r}", where=row.source)
    turns: list[Message] = []
    for question, answer in zip(asked, said, strict=True):
        turns += [Message("user", question), Message("assistant", answer)]
    return _checked(tuple(turns), row.source, name)


def _texts(row: Row, name: str) -> list[str]:
    value = require(row, name)[1]
    found = _decoded(value, row.source, name) if isinstance(value, str) else value
    if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
        return found
    raise DataError(f"{name!r} is no list of texts (an answer may be missing)", where=row.source)


def _decoded(value: str, where: str, name: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise DataError(f"{name!r} is no JSON", where=where) from None


def _checked(turns: tuple[Message, ...], where: str, name: str) -> tuple[Message, ...]:
    check_order(turns, where=where, column=name)
    if turns[0].role != "user" or turns[-1].role != "assistant":
        raise DataError(f"{name!r} does not go from a question to an answer", where=where)
    return turns
