"""Conversations in rows: cells of ``[{"role": ..., "content": ...}]`` as messages, in a checked order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.errors import DataError, did_you_mean
from charter.types import ROLES, Message

_CHANGES_MEANING = ("tool_calls", "function_call", "thinking", "reasoning_content")
_MAY_FOLLOW: dict[str, tuple[str, ...]] = {
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


def is_turns(value: Any) -> bool:
    """Whether a cell holds a conversation rather than plain text (or a list of texts)."""
    return isinstance(value, list | tuple) and (not value or isinstance(value[0], Mapping))


def parse_turns(value: Sequence[Any], *, where: str, column: str) -> tuple[Message, ...]:
    """Messages of one conversation cell; the order of roles is not looked at.

    Raises:
        DataError: no turns, an unknown role, content that is not text; names the turn.
    """
    if not value:
        raise DataError(f"{column!r} has no turns", where=where, fix="remove the row or write the turns")
    return tuple(
        _message(turn, where=where, name=f"{column!r} turn {number}")
        for number, turn in enumerate(value, start=1)
    )


def check_order(turns: Sequence[Message], *, where: str, column: str) -> None:
    """A whole conversation begins with a system or user turn, and the roles take turns.

    Raises:
        DataError: naming the first turn that is out of place.
    """
    before = ""
    for number, turn in enumerate(turns, start=1):
        if not before:
            if turn.role not in ("system", "user"):
                raise DataError(
                    f"{column!r} turn 1 is {turn.role}: a conversation starts with system or user",
                    where=where,
                    fix="put the question before the answer",
                )
        elif turn.role not in _MAY_FOLLOW[before]:
            found = f"two {before} turns in a row" if turn.role == before else f"{turn.role} after {before}"
            raise DataError(
                f"{column!r} turn {number}: {found}", where=where, fix="join the two turns, or remove one"
            )
        before = turn.role


def _message(turn: Any, *, where: str, name: str) -> Message:
    if not isinstance(turn, Mapping):
        found = type(turn).__name__
        raise DataError(f"{name} is {found}", where=where, fix='write {"role": ..., "content": ...}')
    role = turn.get("role")
    if role not in ROLES:
        missing = "has no role" if role is None else f"has the unknown role {role!r}"
        fix = did_you_mean(str(role), ROLES) if role is not None else f"use one of {', '.join(ROLES)}"
        if role is None and "from" in turn:
            fix = "rename 'from' and 'value' to 'role' and 'content' (human is user, gpt is assistant)"
        raise DataError(f"{name} {missing}", where=where, fix=fix)
    for key in _CHANGES_MEANING:
        if turn.get(key):
            raise DataError(
                f"{name} has {key!r}, which would not be rendered",
                where=where,
                fix="write it into the content, as the chat template would",
            )
    return Message(role, _content(turn.get("content"), where=where, name=name))


def _content(content: Any, *, where: str, name: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple) and content:
        return "".join(_part(part, where=where, name=name) for part in content)
    found = "no content" if content is None else f"content of type {type(content).__name__}"
    raise DataError(f"{name} has {found}", where=where, fix="content is text")


def _part(part: Any, *, where: str, name: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    text = part.get("text") if isinstance(part, Mapping) else None
    if kind != "text" or not isinstance(text, str):
        found = f"{name} has a content part of type {kind!r}"
        raise DataError(found, where=where, fix="only text is trained")
    return text
