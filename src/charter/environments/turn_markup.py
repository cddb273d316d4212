"""The tokens that stand between two turns of the model.

What the model sampled is never tokenised again: decoding and encoding is no round trip, and
log-probs would belong to other tokens. Only what the environment says is rendered, with the markup
that the chat template writes between the end of one turn of the model and the start of the next.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.data.render import Template
from charter.data.special import unhide
from charter.errors import DataError
from charter.types import Message

_PROBE = (Message("user", "What is it?"), Message("assistant", "Let me see."), Message("tool", "result 8417"))


@dataclass(frozen=True, slots=True)
class Between:
    """What follows a turn of the model.

    Attributes:
        text: from the end of its turn to the start of the next.
        token_ids: of ``text``; where the turn did not end as the template ends turns, the template's
            end of turn comes first.
    """

    text: str
    token_ids: tuple[int, ...]


class TurnMarkup:
    """The turn markup of one chat template.

    Attributes:
        end: text of the token that ends the model's turn.
        end_id: its id.

    Raises:
        DataError: the tokenizer has no usable chat template.
    """

    def __init__(self, template: Template) -> None:
        self._template = template
        self._special = template.special
        self.end = template.chat.end_of_turn
        self.end_id = int(template.tokenizer.convert_tokens_to_ids(self.end))

    @functools.cached_property
    def shows_tools(self) -> bool:
        """Whether the template shows tool turns; where it does not, they are shown as user turns."""
        try:
            return _PROBE[-1].content in self._template.chat.text(_PROBE, prompt=True, where="probe")
        except DataError:
            return False

    def shown(self, turns: Sequence[Message]) -> tuple[Message, ...]:
        """``turns`` in roles the template shows; user turns that then meet are joined."""
        if self.shows_tools:
            return tuple(turns)
        found: list[Message] = []
        for turn in turns:
            as_user = replace(turn, role="user") if turn.role == "tool" else turn
            if found and found[-1].role == as_user.role == "user":
                as_user = Message("user", f"{found.pop().content}\n{as_user.content}")
            found.append(as_user)
        return tuple(found)

    def opening(self, turns: Sequence[Message]) -> str:
        """The text of the opening, up to where the model begins to write."""
        return self._template.chat.text(turns, prompt=True, where="environment")

    def between(self, before: Sequence[Message], new: Sequence[Message], *, closed: bool) -> Between:
        """What follows the model's last turn: ``new``, and the start of its next.

        The conversation is rendered with a mark in place of that turn; what stands behind the mark
        is what the template writes there, whatever it makes of the turns before.

        Args:
            before: the conversation; the model's turn is the last.
            new: what the environment answered.
            closed: whether the model's tokens end with the template's end of turn.

        Raises:
            DataError: the template refuses the turns, or does not show the model's.
        """
        mark = _unused((*before, *new))
        hidden, marks = self._hide(new)
        text = self._template.chat.text(
            (*before[:-1], Message("assistant", mark), *hidden), prompt=True, where="environment"
        )
        _, found, tail = text.rpartition(mark)
        gap, ended, rest = tail.partition(self.end)
        if not found or not ended or gap.strip():
            raise DataError("the chat template does not show the model's turn as it was", where="environment")
        ids = self._encode(self.end + rest, marks)
        if ids[:1] != [self.end_id]:
            raise DataError("the tokenizer joins the end of a turn with what follows", where="environment")
        return Between(unhide(rest, marks), tuple(ids[1:] if closed else ids))

    def is_stable(self, turns: Sequence[Message], written: str) -> bool:
        """Whether the template, given the whole conversation, writes what the model saw: ``written``."""
        try:
            return self._template.chat.text(turns, prompt=True, where="environment") == written
        except DataError:
            return False

    def _hide(self, turns: Sequence[Message]) -> tuple[tuple[Message, ...], dict[str, str]]:
        """``turns`` with special tokens that someone typed hidden, so that they stay plain text."""
        special = self._special
        if not any(special.occurs_in(turn.content) for turn in turns):
            return tuple(turns), {}
        marks = special.marks(avoid="".join(turn.content for turn in turns))
        return tuple(replace(turn, content=special.hide(turn.content, marks)) for turn in turns), marks

    def _encode(self, text: str, marks: dict[str, str]) -> list[int]:
        ids = self._special.encode_marked(text, marks) if marks else self._special.encode(text)
        if ids is None:
            raise DataError(
                "the environment wrote a special token that this tokenizer cannot encode as plain text",
                where="environment",
            )
        return ids


def _unused(turns: Sequence[Message]) -> str:
    """A word that none of ``turns`` holds."""
    number = 0
    while any(f"mark{number}mark" in turn.content for turn in turns):
        number += 1
    return f"mark{number}mark"
