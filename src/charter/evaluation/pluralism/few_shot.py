"""Predicting what groups answer from a few of their answers: by predictor and by how many are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.survey import Survey
from charter.errors import ConfigError
from charter.evaluation.pluralism.measure import Measured, mean_of, mean_of_clusters
from charter.evaluation.suite.distance import between
from charter.feedback.gpo.baselines import Predictor


@dataclass(frozen=True, slots=True)
class FewShotRow:
    """One predictor with so many known answers.

    Attributes:
        predictor: its name.
        known: questions in the context.
        js: mean Jensen-Shannon distance over questions; its interval draws questions, each with all groups
            that were asked it, as their distances are alike.
        by_group: the same of each group alone, the farthest first.
    """

    predictor: str
    known: int
    js: Measured
    by_group: tuple[tuple[str, Measured], ...]

    @property
    def worst(self) -> tuple[str, Measured]:
        """The group that is predicted worst."""
        return self.by_group[0]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "predictor": self.predictor,
            "known": self.known,
            "js": self.js.to_json(),
            "by_group": {group: found.to_json() for group, found in self.by_group},
        }


def split_questions(survey: Survey, group: str, most: int, seed: int) -> tuple[list[str], list[str]]:
    """Questions of a group that may be known, ``most`` of them in the order they become so, and targets.

    The targets are the same however many are known, so that sizes can be compared.

    Raises:
        ConfigError: no question would be left to predict.
    """
    import numpy as np

    texts = [one.text for one in survey.asked(group)]
    if len(texts) <= most:
        raise ConfigError(
            f"{group!r} answered {len(texts)} questions: none is left to predict beside {most} known ones"
        )
    drawn = [str(one) for one in np.random.default_rng([seed, 11]).permutation(texts)]
    return drawn[:most], drawn[most:]


def few_shot(
    predictors: Mapping[str, Predictor],
    test: Survey,
    sizes: Sequence[int] = (0, 2, 5, 10),
    *,
    seed: int = 0,
    truth: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> list[FewShotRow]:
    """Every predictor on every group of ``test``, by number of known answers.

    Args:
        predictors: by name; see :data:`charter.feedback.gpo.baselines.Predictor`.
        test: groups that no predictor has learned from.
        sizes: numbers of known questions.
        seed: of which ones.
        truth: what is compared with; None = the shares of ``test``, which hold chance in small groups.

    Raises:
        ConfigError: a group answered too few questions.
    """
    most = max(sizes)
    split = {group: split_questions(test, group, most, seed) for group in test.groups}
    rows = []
    for name, predictor in predictors.items():
        for size in sizes:
            distances = {
                group: _distances(predictor, test, group, known[:size], targets, truth)
                for group, (known, targets) in split.items()
            }
            rows.append(row_of(name, size, distances))
    return rows


def row_of(name: str, size: int, distances: Mapping[str, Mapping[str, float]]) -> FewShotRow:
    """A row from the distances of each group's questions, by their texts."""
    found = {group: mean_of(list(of.values())) for group, of in distances.items()}
    texts = dict.fromkeys(text for of in distances.values() for text in of)
    clusters = [[of[text] for of in distances.values() if text in of] for text in texts]
    return FewShotRow(
        name,
        size,
        mean_of_clusters(clusters),
        tuple(sorted(found.items(), key=lambda pair: -(pair[1].value or 0.0))),
    )


def _distances(
    predictor: Predictor,
    test: Survey,
    group: str,
    known: Sequence[str],
    targets: Sequence[str],
    truth: Mapping[str, Mapping[str, Sequence[float]]] | None,
) -> dict[str, float]:
    own = test.shares[group]
    wanted = own if truth is None else truth[group]
    found = predictor({text: own[text] for text in known}, targets)
    return {text: between(one.tolist(), wanted[text]).js for one, text in zip(found, targets, strict=True)}
