"""Answers to show people: never only the flattering ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.types import Group

WORST = 3
"""Failing answers shown of each principle."""


def examples(
    after: Sequence[Group], before: Sequence[Group] | None = None, count: int = 3
) -> list[dict[str, Any]]:
    """Prompts with both answers: the largest gain, the largest loss, and one in between.

    Never only the flattering ones: the loss is shown wherever there is one.
    """
    if before is None:
        return [_example(a, None) for a in after[:count]]
    pairs = list(zip(after, before, strict=True))
    ranked = sorted(pairs, key=lambda pair: _passes(pair[0]) - _passes(pair[1]))
    places = dict.fromkeys((len(ranked) - 1, len(ranked) // 2, 0))  # few prompts: each once
    chosen = [ranked[place] for place in places]
    return [_example(a, b) for a, b in chosen[:count]]


def worst(groups: Sequence[Group], count: int = WORST) -> dict[str, list[dict[str, Any]]]:
    """Of each principle the first answers that broke it: where the judge was surest, if it says how sure."""
    found: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for group in groups:
        for one in group.judgements:
            place = getattr(one.target, "sample", None)
            if one.value is None or one.value >= 0.5 or place is None or not one.principle:
                continue
            sample = group.samples[place]
            shown = {
                "id": group.id,
                "prompt": sample.context.text,
                "answer": sample.completion.text,
                "why": one.reason,
                "judge": one.judge,
            }
            sure = 1.0 if one.probability is None else one.probability
            found.setdefault(one.principle, []).append((-sure, shown))
    return {
        id: [shown for _, shown in sorted(rows, key=lambda row: row[0])[:count]] for id, rows in found.items()
    }


def _passes(group: Group) -> float:
    values = [j.value for j in group.judgements if j.value is not None]
    return sum(values) / len(values) if values else 0.0


def _example(after: Group, before: Group | None) -> dict[str, Any]:
    return {
        "id": after.id,
        "prompt": after.samples[0].context.text,
        "before": None if before is None else before.samples[0].completion.text,
        "after": after.samples[0].completion.text,
        "before_verdicts": {} if before is None else _verdicts(before),
        "after_verdicts": _verdicts(after),
    }


def _verdicts(group: Group) -> dict[str, bool | None]:
    first = [j for j in group.judgements if getattr(j.target, "sample", None) == 0]
    return {
        j.principle: None if j.value is None else j.value >= 0.5
        for j in first
        if j.verdict != "not_applicable"
    }
