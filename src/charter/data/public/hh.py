"""Helpful and harmless dialogues (2204.05862): ``chosen`` and ``rejected`` transcripts.

A transcript is text with ``\\n\\nHuman:`` and ``\\n\\nAssistant:`` before each turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from charter.data.columns import text
from charter.data.public.parts import asked, item_of, label_of_row, transcript
from charter.data.public.schema import PublicRow, PublicSet
from charter.data.rows import Row
from charter.data.shared_prompt import split_shared
from charter.data.turns import check_order
from charter.errors import DataError
from charter.types import Content, Message, Role

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}


def parse_transcript(said: str, *, where: str, column: str) -> tuple[Message, ...]:
    """The turns of a transcript.

    Raises:
        DataError: it does not begin with a speaker, or a turn is empty.
    """
    parts = _TURN.split("\n\n" + said.strip("\n"))
    if parts[0].strip() or len(parts) < 3:
        raise DataError(f"{column!r} does not begin with 'Human:'", where=where)
    turns = tuple(
        Message(_ROLES[who], words.strip()) for who, words in zip(parts[1::2], parts[2::2], strict=True)
    )
    for number, turn in enumerate(turns, start=1):
        if not turn.content:
            raise DataError(f"{column!r} turn {number} is empty", where=where, fix="remove the row")
    check_order(turns, where=where, column=column)
    return turns


def _fits(values: Mapping[str, Any]) -> bool:
    sides = [values.get(name) for name in ("chosen", "rejected")]
    return "prompt" not in values and all(
        isinstance(side, str) and side.lstrip().startswith("Human:") and "\n\nAssistant:" in side
        for side in sides
    )


def _read(row: Row) -> PublicRow:
    sides = [
        parse_transcript(text(row, name), where=row.source, column=name) for name in ("chosen", "rejected")
    ]
    prompt, chosen, rejected = split_shared(sides[0], sides[1], where=row.source)
    if chosen == rejected:
        raise DataError("'chosen' and 'rejected' are the same", where=row.source, fix="remove the row")
    answers = tuple(transcript(_turns(side)) for side in (chosen, rejected))
    label = label_of_row(
        row,
        "hh",
        item=item_of(asked(prompt), *answers),
        rater="hh",
        kind="pair",
        value=1,
        prompt=prompt,
        answers=answers,
        meta={"rater_known": False},
    )
    made = {
        "prompt": asked(prompt),
        "chosen": asked(_turns(chosen)),
        "rejected": asked(_turns(rejected)),
    }
    return PublicRow((label,), {"preference": (made,)})


def _turns(content: Content) -> tuple[Message, ...]:
    return (Message("assistant", content),) if isinstance(content, str) else content


HH = PublicSet("hh", "helpful and harmless dialogues (2204.05862)", _fits, _read)
