"""What a rater's page is told of an item: never who wrote an answer, what a judge said, or what tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from charter.annotation.make_items import level_texts
from charter.annotation.markdown import LONGEST, to_html
from charter.annotation.options import CampaignOptions
from charter.annotation.tables import Item, Presentation
from charter.constitution import Constitution, Principle

LETTERS = "ABCDEFGH"
_WORD = re.compile(r"\s*\S+\s*")


def item_view(shown: Presentation, constitution: Constitution, options: CampaignOptions) -> dict[str, Any]:
    """The item as it is shown, answers in the order of this rater."""
    item = shown.item
    answers = [item.answers[position].text for position in shown.order]
    found: dict[str, Any] = {
        "presentation": shown.id,
        "mode": item.mode,
        "prompt": prompt_view(item.prompt),
        "answers": [
            {"letter": letter, **text_view(text)} for letter, text in zip(LETTERS, answers, strict=False)
        ],
        "principle": None,
        "scale": constitution.judge.scale,
    }
    if item.principle:
        found["principle"] = principle_view(constitution.principle(item.principle), constitution.judge.scale)
    if item.mode == "spans":
        found["tags"] = list(options.span_tags)
        found["words"] = [
            {"text": answers[0][start:end], "start": start, "end": end} for start, end in words_of(answers[0])
        ]
    return found


def principle_view(principle: Principle, scale: int) -> dict[str, Any]:
    """The compiled rubric, which judges read too. Not its examples: they test raters."""
    rubric = principle.rubric
    levels = level_texts(principle, scale)
    return {
        "id": principle.id,
        "title": principle.title,
        "html": to_html(principle.text, breaks=False),
        "applies_when": rubric.applies_when if rubric else "",
        "not_a_violation": rubric.not_a_violation if rubric else "",
        "why": to_html(principle.rationale, breaks=False) if principle.rationale else "",
        "levels": [[rating, levels.get(rating, "")] for rating in range(1, scale + 1)],
    }


def prompt_view(prompt: Any) -> list[dict[str, str]]:
    """The turns before the answers."""
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return [{"role": turn["role"], **text_view(turn["content"])} for turn in turns]


def text_view(text: str) -> dict[str, str]:
    """A text as it is, and rendered."""
    return {"text": text, "html": to_html(text) if len(text) <= LONGEST else ""}


def words_of(text: str) -> list[tuple[int, int]]:
    """Start and end of each word with the space after it: counted here, because a browser counts
    characters in another way."""
    return [(found.start(), found.end()) for found in _WORD.finditer(text)]


def revealed(item: Item, order: list[int]) -> Mapping[str, Any]:
    """Who wrote what and what judges said, for after the label, in the order shown."""
    judges = {}
    for name, said in (item.judge or {}).items():
        margin = said.get("margin")
        if margin is not None and len(order) == 2:
            side = 0 if (margin > 0) == (order[0] == 0) else 1
            judges[name] = f"{LETTERS[side]} better" if margin else "no difference"
        elif said.get("values"):
            judges[name] = ", ".join(
                "-" if v is None else f"{v:g}" for v in (said["values"][i] for i in order)
            )
    return {"models": [item.answers[position].model for position in order], "judges": judges}
