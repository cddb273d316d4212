"""Answers of a group of people as points for the network.

Shapes: R points, d features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.errors import DataError
from charter.feedback.gpo.features import Features, Floats

Shares = Mapping[str, Sequence[float]]
"""Of each question's text, the share of people that chose each option."""


@dataclass(frozen=True)
class Points:
    """Options of several questions of one group.

    Attributes:
        x_Rd: their features.
        share_R: how many chose them; 0 at targets.
        question_R: which question each belongs to.
        context_R: known answers, as against what is to be predicted, bool.
    """

    x_Rd: Floats
    share_R: Floats
    question_R: NDArray[np.int64]
    context_R: NDArray[np.bool_]


def points_of(features: Features, known: Shares, targets: Sequence[str]) -> Points:
    """Known answers and questions to predict as points.

    Known answers are put into an order of their own, so that the result is the same to the last bit in
    whatever order they come.

    Raises:
        DataError: a question has no features, or another number of answers than options.
    """
    rows, shares, question, context = [], [], [], []
    for index, (text, of) in enumerate([*_in_order(features, known), *((one, None) for one in targets)]):
        if text not in features:
            raise DataError(f"no features of the question {text!r}", fix="embed every question first")
        own = features[text]
        if of is not None and len(of) != len(own):
            raise DataError(f"{len(of)} shares for {len(own)} options of {text!r}")
        rows.append(own)
        shares += [0.0] * len(own) if of is None else list(of)
        question += [index] * len(own)
        context += [of is not None] * len(own)
    if not rows:
        raise DataError("no question to predict")
    return Points(
        np.concatenate(rows),
        np.asarray(shares, dtype=np.float32),
        np.asarray(question, dtype=np.int64),
        np.asarray(context, dtype=np.bool_),
    )


def _in_order(features: Features, known: Shares) -> list[tuple[str, Sequence[float] | None]]:
    return [(text, known[text]) for text in sorted(known)]


def batched(points: Sequence[Points]) -> dict[str, Any]:
    """Tensors ``x, share, question, context, target`` of several groups, padded to the longest.

    Padding is no context and no target, and a question of its own.
    """
    import torch

    longest = max(len(one.share_R) for one in points)
    width = points[0].x_Rd.shape[1]
    x = torch.zeros(len(points), longest, width)
    share = torch.zeros(len(points), longest)
    question = torch.full((len(points), longest), longest - 1, dtype=torch.long)
    context = torch.zeros(len(points), longest, dtype=torch.bool)
    target = torch.zeros(len(points), longest, dtype=torch.bool)
    for row, one in enumerate(points):
        size = len(one.share_R)
        x[row, :size] = torch.from_numpy(one.x_Rd)
        share[row, :size] = torch.from_numpy(one.share_R)
        question[row, :size] = torch.from_numpy(one.question_R)
        context[row, :size] = torch.from_numpy(one.context_R)
        target[row, :size] = ~context[row, :size]
    return {"x": x, "share": share, "question": question, "context": context, "target": target}
