"""A tokenizer's chat template as text: which characters the model itself writes, and where its turn ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.special import SpecialTokens
from charter.errors import DataError
from charter.types import Message

TIME_LIMIT_S = 5.0
"""How long a template may take for one short question and answer."""

PROBE = (Message("user", "What is two plus two?"), Message("assistant", "Two plus two is four."))

_NO_TEMPLATE_FIX = "use an instruct model's tokenizer, set its chat_template, or write plain text columns"


@dataclass(frozen=True, slots=True)
class Written:
    """A rendered conversation and the characters its assistant wrote.

    Attributes:
        text: from the start to the end of the last assistant turn.
        spans: ``(start, end)`` of every trained turn, end-of-turn token included.
    """

    text: str
    spans: tuple[tuple[int, int], ...]


class ChatTemplate:
    """The chat template of ``tokenizer``, tried once on a short conversation.

    Raises:
        DataError: there is none, it cannot be read, it is too slow, or it
            marks no end of an assistant turn.
    """

    def __init__(self, tokenizer: Any, special: SpecialTokens) -> None:
        self._tokenizer = tokenizer
        self._special = special
        where = _name_of(tokenizer)
        _require_template(tokenizer, where)
        try:
            probe = within(TIME_LIMIT_S, lambda: self.write(PROBE[:1], PROBE[1:], where=where))
        except TimeoutError:
            raise DataError(
                f"the chat template took longer than {TIME_LIMIT_S:g} s for two turns",
                where=where,
                fix="use a template that terminates",
            ) from None
        self.probe = probe
        end = special.last(probe.text)
        self.end_of_turn = end.group() if end else ""

    def text(self, turns: Sequence[Message], *, prompt: bool, where: str) -> str:
        """The template's text for ``turns``; ``prompt`` opens an assistant turn at the end."""
        plain = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            text = self._tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt)
        except Exception as error:  # templates are foreign code and may raise anything
            raise _template_error(error, where) from None
        if not isinstance(text, str):
            raise DataError(f"the chat template gave {type(text).__name__}, not text", where=where)
        return text

    def write(self, context: Sequence[Message], answer: Sequence[Message], *, where: str) -> Written:
        """Render ``context`` and ``answer``, and find the assistant turns of ``answer``.

        Raises:
            DataError: the template changes earlier text when turns follow, so
                no span is what the model would see; or a turn has no end.
        """
        turns = (*context, *answer)
        whole = self.text(turns, prompt=False, where=where)
        spans = []
        for i in range(len(context), len(turns)):
            if turns[i].role != "assistant":
                continue
            start = self._prefix(whole, turns[:i], prompt=True, where=where)
            last = i == len(turns) - 1
            stop = len(whole) if last else self._prefix(whole, turns[: i + 1], prompt=False, where=where)
            spans.append((start, start + self._turn_length(whole[start:stop], where)))
        if not spans or turns[len(context)].role != "assistant":
            raise DataError("the answer does not start with an assistant turn", where=where)
        return Written(whole[: spans[-1][1]], tuple(spans))

    def _prefix(self, whole: str, turns: Sequence[Message], *, prompt: bool, where: str) -> int:
        head = self.text(turns, prompt=prompt, where=where)
        if not whole.startswith(head):
            at = next((i for i, (a, b) in enumerate(zip(whole, head, strict=False)) if a != b), len(whole))
            raise DataError(
                f"the chat template rewrites turns when others follow: after {len(turns)} turns it shows "
                f"{_around(head, at)!r}, in the whole conversation {_around(whole, at)!r}",
                where=where,
                fix="split the conversation so that each row ends with its only trained answer",
            )
        return len(head)

    def _turn_length(self, turn: str, where: str) -> int:
        """Characters of an assistant turn up to and including its end-of-turn token."""
        end = self._special.last(turn)
        if end is None or turn[end.end() :].strip():
            raise DataError(
                f"the chat template ends the assistant turn {_around(turn, len(turn))!r} with no special "
                "token, so the model would never learn to stop",
                where=where,
                fix="use a template that writes an end-of-turn or eos token after each answer",
            )
        return end.end()


def within(seconds: float, work: Callable[[], Written]) -> Written:
    """``work()``, or TimeoutError; a thread, because a running template cannot be interrupted."""
    done: list[Written] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # handed to the caller below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


def generation_mask(tokenizer: Any) -> list[int] | None:
    """The template's own ``{% generation %}`` mask over the probe's tokens, or None if it has none."""
    template = tokenizer.get_chat_template()
    if not re.search(r"\{%-?\s*generation\b", template):
        return None
    turns = [{"role": turn.role, "content": turn.content} for turn in PROBE]
    encoded = tokenizer.apply_chat_template(
        turns, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return list(encoded["assistant_masks"])


def _require_template(tokenizer: Any, where: str) -> None:
    if not tokenizer.chat_template:
        raise DataError("the tokenizer has no chat template", where=where, fix=_NO_TEMPLATE_FIX)
    try:
        tokenizer.get_chat_template()
    except ValueError as error:
        raise DataError(f"no usable chat template: {str(error).splitlines()[0]}", where=where) from None


def _template_error(error: Exception, where: str) -> DataError:
    import jinja2

    if isinstance(error, jinja2.TemplateSyntaxError):
        return DataError(
            f"the chat template cannot be read, template line {error.lineno}: {error.message}",
            where=where,
            fix=_NO_TEMPLATE_FIX,
        )
    said = str(error).strip().split("\n")[0] or type(error).__name__
    refused = f"the chat template refused the conversation: {said}"
    return DataError(refused, where=where, fix="change the turns")


def _name_of(tokenizer: Any) -> str:
    return f"tokenizer {getattr(tokenizer, 'name_or_path', '') or 'in memory'}"


def _around(text: str, at: int) -> str:
    return text[max(0, at - 30) : at + 30]
