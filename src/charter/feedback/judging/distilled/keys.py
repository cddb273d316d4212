"""What makes two prompts, or two answers, the same: nothing that was trained on may be graded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from charter.feedback.revising.near_duplicates import normalised
from charter.types import Message

_LENGTH = 16


def prompt_keys(conversation: Sequence[Message]) -> frozenset[str]:
    """Keys of the first and of the last thing the user says.

    Two conversations are kept together if they share one: a longer conversation tells what the shorter
    one was about. Without a user's turn, everything said counts.
    """
    asked = [turn.content for turn in conversation if turn.role == "user"]
    texts = [asked[0], asked[-1]] if asked else [" ".join(turn.content for turn in conversation)]
    return frozenset(_key(text) for text in texts)


def answer_key(answer: Sequence[Message]) -> str:
    """Key of an answer's words."""
    return _key(" ".join(turn.content for turn in answer))


def _key(text: str) -> str:
    same = normalised(text) or text.casefold().strip()
    return hashlib.sha256(same.encode()).hexdigest()[:_LENGTH]
