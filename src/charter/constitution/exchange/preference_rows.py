"""GOOD x BAD pairs as preference rows in TRL's conversational format, for any trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.constitution.constitution import Constitution
from charter.constitution.exchange.example_pairs import ExamplePair, example_pairs
from charter.constitution.exchange.imported import Remark
from charter.errors import ConstitutionError
from charter.types import Message


@dataclass(frozen=True, slots=True)
class PreferenceRows:
    """Rows to train on, and the pairs that no row can hold."""

    rows: tuple[dict[str, Any], ...]
    left_out: tuple[Remark, ...]


def to_preference_rows(constitution: Constitution) -> PreferenceRows:
    """One row a pair: ``prompt``, ``chosen``, ``rejected`` (messages), and the principle by id and sha.

    Trainers want a conversation in which the roles take turns, so turns of one role in a row
    are joined, and what the assistant said last begins both answers. A conversation that
    no user opens is left out.

    Raises:
        ConstitutionError: there is no pair.
    """
    found = example_pairs(constitution)
    rows: list[dict[str, Any]] = []
    left_out: list[Remark] = []
    for pair in found.pairs:
        turns = _joined(pair.prompt)
        begun = turns.pop().content if turns and turns[-1].role == "assistant" else ""
        opening = [turn.role for turn in turns if turn.role != "system"][:1]
        if opening == ["user"]:
            rows.append(_row(pair, turns, begun))
        else:
            where = f"{constitution.path}:{pair.bad.line}"
            left_out.append(Remark(where, "a pair whose conversation is not opened by a user"))
    if not rows:
        raise ConstitutionError(
            "no example has a question with both a GOOD and a BAD answer",
            where=constitution.path,
            fix="add an example with both",
        )
    return PreferenceRows(tuple(rows), found.left_out + tuple(left_out))


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of the same role as one turn; tool results stay apart."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1].role == message.role != "tool":
            turns[-1] = Message(message.role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    return turns


def _row(pair: ExamplePair, turns: Sequence[Message], begun: str) -> dict[str, Any]:
    principle = pair.principle
    good, bad = (f"{begun}\n\n{answer.text}" if begun else answer.text for answer in (pair.good, pair.bad))
    return {
        "id": f"{principle.id}:{pair.number}",
        "prompt": [{"role": turn.role, "content": turn.content} for turn in turns],
        "chosen": [{"role": "assistant", "content": good}],
        "rejected": [{"role": "assistant", "content": bad}],
        "principle": principle.id,
        "principles": [principle.id],
        "principle_shas": [principle.sha],
        "weight": principle.weight,
        "example": pair.title,
        "reason_chosen": pair.good.reason,
        "reason_rejected": pair.bad.reason,
    }
