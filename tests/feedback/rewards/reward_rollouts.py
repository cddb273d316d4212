"""Rollouts for tests of rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charter.types import Completion, Context, FinishReason, Group, Message, Sample


def sample(
    text: str = "yes", prompt: str = "Say yes.", ids: tuple[int, ...] = (), finish: FinishReason = "stop"
) -> Sample:
    context = Context((Message("user", prompt),))
    return Sample(context, Completion((Message("assistant", text),), ids, finish_reason=finish))


def group(*texts: str, id: str = "g", **meta: Any) -> Group:
    return Group(tuple(sample(text) for text in texts), id=id, meta=meta)


def write(folder: Path, code: str, name: str = "mine.py") -> str:
    (folder / name).write_text(code, encoding="utf-8")
    return name
