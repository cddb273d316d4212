"""Features of labelled pairs for the learning curve of a cheap reward head (``charter raters --curve``)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from charter.errors import DataError
from charter.feedback.people.hashed_words import DIMENSIONS, hashed_words
from charter.label import Label


@dataclass(frozen=True, slots=True)
class PairFeatures:
    """One row an item, and the labels that have none, by reason."""

    rows: tuple[dict[str, Any], ...]
    left_out: dict[str, int]


def pair_features(labels: Iterable[Label], dimensions: int = DIMENSIONS) -> PairFeatures:
    """Features of the first answer less those of the second, by item.

    They are the words, counted by hash, and the logarithm of the length in words: what a head without a
    language model can see. What both answers share, the prompt too, cancels.

    Args:
        labels: pairs; an item's answers are those of its first label.
        dimensions: numbers that words are hashed into.

    Raises:
        DataError: no label compares two answers.
    """
    rows: dict[str, dict[str, Any]] = {}
    answers: dict[str, tuple[str, ...]] = {}
    left_out: Counter[str] = Counter()
    for label in labels:
        if label.kind != "pair" or len(label.answers) != 2:
            left_out[f"of kind {label.kind}, no pair"] += 1
        elif label.item not in rows:
            answers[label.item] = label.answers
            row: dict[str, Any] = {"item": label.item, "features": _difference(label.answers, dimensions)}
            stratum = label.meta.get("stratum")
            rows[label.item] = row | ({"stratum": str(stratum)} if stratum else {})
        elif answers[label.item] != label.answers:
            left_out["other answers than the item's first label has"] += 1
    if not rows:
        raise DataError("no label compares two answers", fix="the curve is one of pairs")
    return PairFeatures(tuple(rows.values()), dict(left_out))


def _difference(answers: tuple[str, ...], dimensions: int) -> list[float]:
    first, second = (hashed_words(text, dimensions) for text in answers)
    lengths = [math.log1p(len(text.split())) for text in answers]
    words = [round(a - b, 6) for a, b in zip(first, second, strict=True)]
    return [*words, round(lengths[0] - lengths[1], 6)]
