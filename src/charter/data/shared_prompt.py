"""The prompt two answers share when a row has no prompt column."""

from __future__ import annotations

from charter.errors import DataError
from charter.types import Content, Message

_FIX = "add a 'prompt' column"


def split_shared(chosen: Content, rejected: Content, *, where: str) -> tuple[Content, Content, Content]:
    """``(prompt, chosen, rejected)`` with the shared beginning taken out of both.

    Turns: all equal turns before the last answer. Plain text: the longest
    common prefix that ends at a word boundary; a space goes with the answer,
    where byte-pair tokenizers expect it.

    Raises:
        DataError: nothing is shared, or the two differ before the answer.
    """
    if isinstance(chosen, str) and isinstance(rejected, str):
        at = _text_boundary(chosen, rejected)
        if at == 0:
            raise DataError("'chosen' and 'rejected' share no beginning", where=where, fix=_FIX)
        return chosen[:at], chosen[at:], rejected[at:]
    if isinstance(chosen, str) or isinstance(rejected, str):
        raise DataError("one of 'chosen' and 'rejected' is text, the other turns", where=where)
    at = _turn_boundary(chosen, rejected)
    if at == 0:
        raise DataError("'chosen' and 'rejected' share no turn", where=where, fix=_FIX)
    for side, turns in (("chosen", chosen), ("rejected", rejected)):
        if turns[at].role != "assistant":
            raise DataError(
                f"{side!r} turn {at + 1} is {turns[at].role} and differs from the other side",
                where=where,
                fix="both sides must answer the same conversation",
            )
    return chosen[:at], chosen[at:], rejected[at:]


def _turn_boundary(chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> int:
    most = min(len(chosen), len(rejected)) - 1
    at = 0
    while at < most and chosen[at] == rejected[at]:
        at += 1
    return at


def _text_boundary(chosen: str, rejected: str) -> int:
    most = min(len(chosen), len(rejected))
    shared = next((i for i in range(most) if chosen[i] != rejected[i]), most)
    for at in range(shared, 0, -1):
        if chosen[at - 1].isspace() and _both_continue(chosen, rejected, at):
            return at - 1 if chosen[at - 1] == " " else at
        if at < shared and chosen[at].isspace() and _both_continue(chosen, rejected, at):
            return at
    return 0


def _both_continue(chosen: str, rejected: str, at: int) -> bool:
    return bool(chosen[at:].strip()) and bool(rejected[at:].strip())
