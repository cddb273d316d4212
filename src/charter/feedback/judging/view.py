"""What a judge sees of a sample: the conversation and the answer, as a person would have read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from charter.errors import ConfigError
from charter.types import Content, Message, Sample

_HIDDEN = re.compile(
    r"\s*<(think|thinking|reasoning|scratchpad)>(.*?)(?:</\1>|\Z)\s*", re.DOTALL | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample as a judge sees it.

    Attributes:
        conversation: the turns before the answer.
        answer: the answer's turns; tool and user turns may stand among them.
        unfinished: the answer ended because of a length limit.
        hidden: characters of hidden reasoning that are not shown.
        cut: characters left out because of the view's limits.
    """

    conversation: tuple[Message, ...]
    answer: tuple[Message, ...]
    unfinished: bool = False
    hidden: int = 0
    cut: int = 0

    @property
    def empty(self) -> bool:
        """Is there nothing to judge?"""
        return not any(turn.content.strip() for turn in self.answer)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that is quoted."""
        return tuple(turn.content for turn in (*self.conversation, *self.answer))


@dataclass(frozen=True, slots=True)
class View:
    """What is shown.

    Attributes:
        hidden_reasoning: show it. Off: a ``<think>``, ``<thinking>``, ``<reasoning>`` or
            ``<scratchpad>`` block that opens a turn of the assistant is left out. One that stands
            later in a turn is shown: readers see it, and a judge that did not could be deceived by it.
        tools: show what tools returned. Off: that a tool spoke, not what it said.
        max_chars: most characters shown of an answer.
        max_context_chars: most characters shown of the conversation before it.

    Raises:
        ConfigError: a limit too small to show anything.
    """

    hidden_reasoning: bool = False
    tools: bool = True
    max_chars: int = 12_000
    max_context_chars: int = 12_000

    def __post_init__(self) -> None:
        if min(self.max_chars, self.max_context_chars) < 100:
            raise ConfigError("a judge must see at least 100 characters", where="max_chars")

    def see(self, sample: Sample) -> Seen:
        """The sample as it is shown."""
        before = self._turns(_turns(sample.context.content, "user"))
        answer = self._turns(_turns(sample.completion.content, "assistant"))
        shown, hidden = self._without_hidden(answer)
        # What the assistant thought in earlier turns is hidden from the judge of this one, too.
        context, hidden_before = self._without_hidden(before)
        context, left_out = _within(context, self.max_context_chars, keep_end=True)
        shown, cut = _within(shown, self.max_chars, keep_end=False)
        return Seen(
            context,
            shown,
            unfinished=sample.completion.finish_reason == "length",
            hidden=hidden + hidden_before,
            cut=cut + left_out,
        )

    def _turns(self, turns: Iterable[Message]) -> tuple[Message, ...]:
        if self.tools:
            return tuple(turns)
        return tuple(
            Message("tool", "(what the tool returned is not shown)") if turn.role == "tool" else turn
            for turn in turns
        )

    def _without_hidden(self, turns: Iterable[Message]) -> tuple[tuple[Message, ...], int]:
        if self.hidden_reasoning:
            return tuple(turns), 0
        found, removed = [], 0
        for turn in turns:
            text = visible(turn.content) if turn.role == "assistant" else turn.content
            removed += len(turn.content) - len(text)
            found.append(Message(turn.role, text))
        return tuple(found), removed


def visible(text: str) -> str:
    """``text`` without the hidden reasoning that it opens with; an unclosed block reaches to its end."""
    found = _HIDDEN.match(text)
    return text[found.end() :] if found else text


def _turns(content: Content, role: str) -> tuple[Message, ...]:
    if not isinstance(content, str):
        return content
    if role == "assistant":
        return (Message("assistant", content),)
    return (Message("user", content),) if content else ()


def _within(turns: tuple[Message, ...], limit: int, *, keep_end: bool) -> tuple[tuple[Message, ...], int]:
    """``turns`` within ``limit`` characters: the longest are cut in the middle, and say so.

    A conversation of many turns loses the oldest first, but no system turn; an answer keeps every turn.
    """
    left_out = dropped = 0
    if keep_end:
        turns, dropped, left_out = _without_oldest(turns, limit)
    total = sum(len(turn.content) for turn in turns)
    if total > limit:
        found = []
        for turn in turns:
            text, cut = _shorten(turn.content, max(limit * len(turn.content) // total, 20))
            left_out += cut
            found.append(Message(turn.role, text))
        turns = tuple(found)
    if dropped:
        at = next(index for index, turn in enumerate(turns) if turn.role != "system")
        said = Message(
            turns[at].role, f"[... {dropped} earlier turns are not shown ...]\n{turns[at].content}"
        )
        turns = (*turns[:at], said, *turns[at + 1 :])
    return turns, left_out


def _without_oldest(turns: tuple[Message, ...], limit: int) -> tuple[tuple[Message, ...], int, int]:
    """The latest turns that fill ``limit``, after the system's; how many are dropped, and their length."""
    kept = list(turns)
    dropped = characters = 0
    for turn in turns[:-1]:
        if sum(len(one.content) for one in kept) <= limit:
            break
        if turn.role != "system":
            kept.remove(turn)  # the first that is equal: an earlier one would have gone before
            dropped += 1
            characters += len(turn.content)
    return tuple(kept), dropped, characters


def _shorten(text: str, limit: int) -> tuple[str, int]:
    """The beginning and the end of ``text``; what was left out between them is said."""
    if len(text) <= limit:
        return text, 0
    head = limit * 2 // 3
    tail = limit - head
    cut = len(text) - limit
    return f"{text[:head]}\n[... {cut} characters are not shown ...]\n{text[-tail:]}", cut
