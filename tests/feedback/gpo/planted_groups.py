"""Groups whose answers follow from a planted function of the features."""

from __future__ import annotations

import numpy as np

from charter.data.survey import Question, Survey
from charter.feedback.gpo.features import Features
from charter.models.gpo import GPOShape

WIDTH = 4
SHAPE = GPOShape(features=WIDTH, width=32, layers=2, heads=2, feed_forward=32, depth=2)


def planted(
    groups: int, questions: int, seed: int = 0, noise: float = 0.0
) -> tuple[Survey, dict[str, np.ndarray]]:
    """Shares are a softmax of features times a taste that each group has for itself."""
    rng = np.random.default_rng(seed)
    asked = tuple(Question(f"Q{i:02d}", ("a", "b", "c")[: 2 + i % 2]) for i in range(questions))
    features = {q.text: rng.standard_normal((len(q.options), WIDTH)).astype(np.float32) for q in asked}
    shares: dict[str, dict[str, tuple[float, ...]]] = {}
    for g in range(groups):
        taste = 1.5 * rng.standard_normal(WIDTH)
        shares[f"G{g:02d}"] = {q.text: _softmax(features[q.text] @ taste, rng, noise) for q in asked}
    return Survey(asked, shares, {name: {} for name in shares}, "planted"), features


def _softmax(scores: np.ndarray, rng: np.random.Generator, noise: float) -> tuple[float, ...]:
    scores = scores + noise * rng.standard_normal(len(scores))
    chances = np.exp(scores - scores.max())
    return tuple((chances / chances.sum()).tolist())


def total_variation(found: np.ndarray, wanted: tuple[float, ...]) -> float:
    return float(0.5 * np.abs(np.asarray(found) - np.asarray(wanted)).sum())


def error(predictor: object, test: Survey, features: Features, size: int) -> float:
    """Mean total variation over the questions after the first ``size``, which are the context."""
    found = []
    for group in test.groups:
        own = test.shares[group]
        texts = list(own)
        context, targets = {text: own[text] for text in texts[:size]}, texts[size:]
        made = predictor(context, targets)  # type: ignore[operator]
        found += [total_variation(one, own[text]) for one, text in zip(made, targets, strict=True)]
    return float(np.mean(found))
