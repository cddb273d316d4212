"""Messages of Inspect as Charter's, and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from charter.evaluation.inspect.library import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
)
from charter.types import Content, Message, Role

TOOL_CALL = "<tool_call>\n{}\n</tool_call>"
THOUGHT = "<think>\n{}\n</think>\n"


def message_of(message: ChatMessage, notes: Counter[str] | None = None) -> Message:
    """One message as text.

    Reasoning stands before the text in ``<think>``, tool calls behind it in ``<tool_call>``; what is no
    text (an image, a sound) is named in brackets and counted in ``notes``.
    """
    notes = Counter() if notes is None else notes
    parts = [message.content] if isinstance(message.content, str) else list(message.content)
    text = "".join(_part(part, notes) for part in parts)
    for call in getattr(message, "tool_calls", None) or ():
        notes["tool calls, written into the text"] += 1
        written = json.dumps({"name": call.function, "arguments": call.arguments}, ensure_ascii=False)
        text = "\n".join(filter(None, (text, TOOL_CALL.format(written))))
    if message.role == "tool" and message.error is not None:
        notes["tool results that are errors"] += 1
        text = "\n".join(filter(None, (text, f"[{message.error.type}: {message.error.message}]")))
    return Message(cast(Role, message.role), text)


def messages_of(messages: Sequence[ChatMessage], notes: Counter[str] | None = None) -> tuple[Message, ...]:
    """Every message as text; see :func:`message_of`."""
    return tuple(message_of(message, notes) for message in messages)


def _part(part: Any, notes: Counter[str]) -> str:
    if isinstance(part, str):
        return part
    if part.type == "text":
        return str(part.text)
    if part.type == "reasoning":
        shown = part.summary if part.redacted else part.reasoning
        if part.redacted:
            notes["reasoning that the provider keeps hidden"] += 1
        return THOUGHT.format(shown) if shown else ""
    notes[f"parts that are no text ({part.type})"] += 1
    return f"[{part.type}]"


def to_inspect(content: Content, *, generated: str = "") -> list[ChatMessage]:
    """A conversation, or plain text as one turn, in Inspect's messages.

    Args:
        content: what was said.
        generated: name of the model that wrote the assistant's turns; "" = they were given.
    """
    if isinstance(content, str):
        content = (Message("assistant" if generated else "user", content),)
    return [_message(turn, generated) for turn in content]


def _message(turn: Message, generated: str) -> ChatMessage:
    if turn.role == "system":
        return ChatMessageSystem(content=turn.content)
    if turn.role == "tool":
        return ChatMessageTool(content=turn.content)
    if turn.role == "user":
        return ChatMessageUser(content=turn.content)
    if not generated:
        return ChatMessageAssistant(content=turn.content)
    return ChatMessageAssistant(content=turn.content, source="generate", model=generated)
