"""What GPO must beat: predictions of a group's answers that need no meta-training, or none of the context.

Shapes: C options of the context, T options of targets, d features, K options of a question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from charter.data.survey import Survey
from charter.feedback.gpo.features import Features
from charter.feedback.gpo.points import Shares
from charter.feedback.gpo.predictor import GPO

Predictor = Callable[[Shares, Sequence[str]], list[NDArray[np.float64]]]
"""From a group's known answers, and the texts of questions, to shares of each question's options."""

_RIDGE = 1.0


def of_gpo(gpo: GPO, features: Features) -> Predictor:
    """The trained network."""
    return lambda context, targets: [one.shares for one in gpo.predict(features, context, targets)]


def baselines(train: Survey, features: Features) -> dict[str, Predictor]:
    """By name: uniform, group mean, nearest group, nearest option, ridge regression."""
    return {
        "uniform": lambda _, targets: [uniform(features, one) for one in targets],
        "group mean": lambda _, targets: [group_mean(train, features, one) for one in targets],
        "nearest group": lambda context, targets: nearest_group(train, features, context, targets),
        "nearest option": lambda context, targets: nearest_option(features, context, targets),
        "ridge": lambda context, targets: ridge(features, context, targets),
    }


def uniform(features: Features, text: str) -> NDArray[np.float64]:
    """Every option alike."""
    return np.full(len(features[text]), 1 / len(features[text]))


def group_mean(train: Survey, features: Features, text: str) -> NDArray[np.float64]:
    """The mean of the training groups, each counting the same; uniform where none was asked."""
    found = [of[text] for of in train.shares.values() if text in of]
    return np.mean(np.asarray(found), axis=0) if found else uniform(features, text)


def nearest_group(
    train: Survey, features: Features, context: Shares, targets: Sequence[str]
) -> list[NDArray[np.float64]]:
    """The answers of the training group whose answers to the context are nearest; the mean without context.

    Nearest by mean total variation over the questions that both answered.
    """
    distances = {
        name: np.mean(
            [
                0.5 * np.abs(np.asarray(of) - np.asarray(own[text])).sum()
                for text, of in context.items()
                if text in own
            ]
        )
        for name, own in train.shares.items()
        if any(text in own for text in context)
    }
    if not distances:
        return [group_mean(train, features, text) for text in targets]
    best = train.shares[min(distances, key=lambda name: float(distances[name]))]
    return [np.asarray(best[text]) if text in best else group_mean(train, features, text) for text in targets]


def nearest_option(features: Features, context: Shares, targets: Sequence[str]) -> list[NDArray[np.float64]]:
    """The share of the option of the context that is most alike (cosine), made to sum to 1."""
    if not context:
        return [uniform(features, text) for text in targets]
    texts = sorted(context)
    known_Cd = _standard(features, np.concatenate([features[text] for text in texts]))
    share_C = np.concatenate([np.asarray(context[text]) for text in texts])
    known_Cd /= np.linalg.norm(known_Cd, axis=1, keepdims=True) + 1e-12
    found = []
    for text in targets:
        likeness_KC = _standard(features, features[text]) @ known_Cd.T
        found.append(_to_one(share_C[likeness_KC.argmax(axis=1)]))
    return found


def ridge(
    features: Features, context: Shares, targets: Sequence[str], penalty: float = _RIDGE
) -> list[NDArray[np.float64]]:
    """Ridge regression on the group's own answers, of how far each share is from uniform.

    In its dual form, as there are far fewer options than features; the penalty is a multiple of the mean
    squared length of the features. Shares below 0 are cut, and the rest made to sum to 1.
    """
    if not context:
        return [uniform(features, text) for text in targets]
    texts = sorted(context)
    known_Cd = _standard(features, np.concatenate([features[text] for text in texts]))
    gap_C = np.concatenate([np.asarray(context[text]) - 1 / len(context[text]) for text in texts])
    gram_CC = known_Cd @ known_Cd.T
    size = float(np.trace(gram_CC)) / len(gram_CC)
    weight_C = np.linalg.solve(gram_CC + penalty * size * np.eye(len(gram_CC)), gap_C)
    sizes = np.cumsum([0, *(len(features[text]) for text in targets)])
    target_Td = _standard(features, np.concatenate([features[text] for text in targets]))
    found_T = (target_Td @ known_Cd.T) @ weight_C
    return [
        _to_one(np.clip(1 / (end - start) + found_T[start:end], 0.0, None)) for start, end in pairwise(sizes)
    ]


def _standard(features: Mapping[str, NDArray[np.float32]], x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Features on one scale, by the mean and deviation over every question."""
    every = np.concatenate(list(features.values())).astype(np.float64)
    deviation = every.std(axis=0)
    scale = np.where(deviation > 0, deviation, np.inf)
    return np.asarray((x - every.mean(axis=0)) / scale, dtype=np.float64)


def _to_one(values: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(values.sum())
    return values / total if total > 0 else np.full(len(values), 1 / len(values))
