"""Comparisons as plain rows in TRL's preference format, for any trainer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from charter.errors import DataError
from charter.types import Content, Group, Sample


def preference_rows(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """The pairs as rows in TRL's preference format, plain data for any trainer.

    Each row has ``prompt``, ``chosen`` and ``rejected`` (lists of messages, or three
    texts where the prompt is text), and ``id``, ``principle`` (of a quota pair, else
    ""), ``principles``, ``principle_shas`` (in the same order), ``margin``, ``weight``,
    ``tags`` and ``finish_reasons`` (chosen, rejected: an answer that was cut off has no
    end-of-turn token of its own).

    Raises:
        DataError: the two samples answer different prompts, or mix text and messages.
    """
    return [_row(group) for group in groups]


def _row(group: Group) -> dict[str, Any]:
    better, worse = group.samples
    [judgement] = group.judgements
    if better.context.content != worse.context.content:
        raise DataError("the two samples answer different prompts", where=group.id)
    prompt = _plain(better.context.content)
    return {
        "id": group.id,
        "prompt": prompt,
        "chosen": _answer(better, prompt, group.id),
        "rejected": _answer(worse, prompt, group.id),
        "principle": judgement.principle,
        "principles": list(group.meta["principles"]),
        "principle_shas": list(group.meta["principle_shas"]),
        "margin": judgement.value,
        "weight": judgement.weight,
        "tags": list(group.meta["tags"]),
        "finish_reasons": [better.completion.finish_reason, worse.completion.finish_reason],
    }


def _answer(sample: Sample, prompt: str | list[dict[str, str]], where: str) -> str | list[dict[str, str]]:
    content = sample.completion.content
    if isinstance(prompt, str):
        if not isinstance(content, str):
            raise DataError("the prompt is text but the answer is messages", where=where)
        return content
    return [{"role": "assistant", "content": content}] if isinstance(content, str) else _plain(content)


def _plain(content: Content) -> str | list[dict[str, str]]:
    if isinstance(content, str):
        return content
    return [{"role": message.role, "content": message.content} for message in content]
