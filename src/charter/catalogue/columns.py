"""What the rows of a data file hold, in words and as rows to copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns an algorithm reads.

    Attributes:
        text: the columns, in Markdown; alternatives are told apart by semicolons.
        rows: a data file it trains on, as short as it may be.
    """

    text: str
    rows: tuple[Mapping[str, Any], ...]


PAIR: dict[str, Any] = {
    "prompt": "What is the capital of France?",
    "chosen": "Paris.",
    "rejected": "I think it is Lyon.",
}

RANKED: dict[str, Any] = {
    "prompt": "What is the capital of France?",
    "responses": ["Paris.", "A large city.", "I think it is Lyon."],
    "ranks": [1, 2, 3],
}

TEXT_OF_PAIRS = "`prompt`, `chosen`, `rejected`; or `prompt`, `responses` with `ranks` or `scores`"

BY_GROUP = Columns(
    "`prompt`, `chosen`, `rejected`, with `group` (the name of the people whose preference it is); or "
    "`prompt`, `responses` with `ranks` or `scores`, with `group`",
    (
        {**PAIR, "group": "pupils"},
        {"prompt": "What is the capital of Spain?", "chosen": "Madrid, of course!", "rejected": "Madrid."}
        | {"group": "teachers"},
    ),
)
"""Pairs of several groups of people."""

OF_KIND: Mapping[str, Columns] = {
    "sft": Columns(
        "`prompt` and `completion`; or `messages`; or `text`",
        ({"prompt": "What is the capital of France?", "completion": "Paris."},),
    ),
    "preference": Columns(TEXT_OF_PAIRS, (PAIR,)),
    "unpaired": Columns(
        "`prompt`, `completion`, `label`; or pairs, which are taken apart",
        (
            {"prompt": "What is the capital of France?", "completion": "Paris.", "label": True},
            {"prompt": "What is the capital of Spain?", "completion": "Lisbon.", "label": False},
        ),
    ),
    "rated": Columns(
        "`prompt`, `responses`, `scores`",
        (
            {
                "prompt": "What is the capital of France?",
                "responses": ["Paris.", "A large city.", "I think it is Lyon."],
                "scores": [1.0, 0.4, 0.0],
            },
        ),
    ),
    "attributes": Columns(
        "`prompt`, `response`, `scores` (`{name: number or null}`); or `responses`, each with such",
        (
            {
                "prompt": "What is the capital of France?",
                "response": "Paris.",
                "scores": {"correct": 4, "polite": None},
            },
            {
                "prompt": "What is the capital of Spain?",
                "response": "Lisbon, as anybody knows.",
                "scores": {"correct": 0, "polite": 1},
            },
        ),
    ),
    "steps": Columns(
        "`prompt`, `completions` (the steps of one answer), `labels`",
        (
            {
                "prompt": "What is 2 + 3 * 4?",
                "completions": ["3 * 4 = 12.", "2 + 12 = 15."],
                "labels": [True, False],
            },
        ),
    ),
    "prompts": Columns("`prompt`", ({"prompt": "What is the capital of France?"},)),
}
"""By kind of data (:data:`charter.catalogue.entry.Data`)."""
