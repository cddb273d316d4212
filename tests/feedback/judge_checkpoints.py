"""Rows and checkpoints of every kind of trained judge, on the tiny model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.types import Completion, Context, Group, Message, Sample

Row = dict[str, Any]

PROMPTS = ("What is 2 + 2?", "Name a colour.", "Say hello.", "Count to three.")
GOOD, BAD = ("It is 4.", "Blue is one.", "Hello there!", "1\n2\n3"), ("5", "No.", "Go away", "1\n9")


def turns(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def pairs(**columns: str) -> list[Row]:
    return [
        {"prompt": turns(prompt), "chosen": said(good), "rejected": said(bad), **columns}
        for prompt, good, bad in zip(PROMPTS, GOOD, BAD, strict=True)
    ]


def labelled(**columns: str) -> list[Row]:
    return [
        {"prompt": turns(prompt), "completion": said(text), "label": text in GOOD, **columns}
        for prompt, *both in zip(PROMPTS, GOOD, BAD, strict=True)
        for text in both
    ]


def stepped() -> list[Row]:
    return [
        {"prompt": turns(prompt), "completions": text.split("\n"), "labels": [1.0] * (text.count("\n") + 1)}
        for prompt, text in zip(PROMPTS, GOOD, strict=True)
    ]


def rated() -> list[Row]:
    return [
        {
            "prompt": turns(prompt),
            "completion": said(text),
            "scores": {"helpful": float(text in GOOD), "harmless": float(len(text) % 3)},
        }
        for prompt, *both in zip(PROMPTS, GOOD, BAD, strict=True)
        for text in both
    ]


CRITIQUED = {"chosen_critique": "Right and kind.", "rejected_critique": "Wrong."}


def write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def groups() -> list[Group]:
    """Both answers to each prompt, without token ids."""
    return [
        Group(
            tuple(
                Sample(Context((Message("user", prompt),)), Completion((Message("assistant", text),)))
                for text in both
            ),
            id=prompt,
        )
        for prompt, *both in zip(PROMPTS, GOOD, BAD, strict=True)
    ]
