"""Questions and answers as vectors: what a frozen language model makes of each option.

An option is described by how it differs from the other options of its question, and by their mean.

Shapes: K options, d width of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.data.survey import Question
from charter.errors import DataError
from charter.feedback.judging.distilled.features import Reader, Reading, Rendered
from charter.types import Completion, Context, Group, Message, Sample

if TYPE_CHECKING:
    from charter.models.policy import Policy

Floats = NDArray[np.float32]

Features = Mapping[str, Floats]
"""Of each question's text, the features of its options, ``(K, 2 d)``."""


class Embedder:
    """Reads options with a frozen model; each is read once.

    Args:
        policy: the model.
        reading: how its states become features.
        store: file that keeps them; None = in memory.
    """

    def __init__(self, policy: Policy, reading: Reading | None = None, store: Path | None = None) -> None:
        self.policy = policy
        self.reader = Reader(policy, reading, store=store)

    @property
    def reading(self) -> Reading:
        """How states become features."""
        return self.reader.reading

    @property
    def digest(self) -> str:
        """Of the model's weights."""
        return self.reader.digest

    def questions(self, questions: Sequence[Question]) -> dict[str, Floats]:
        """Features of every option; see :data:`Features`.

        Raises:
            DataError: the model's template cannot write an option.
        """
        unique = list(dict.fromkeys(questions))
        found = self.groups([as_group(one) for one in unique])
        return {one.text: features for one, features in zip(unique, found, strict=True)}

    def groups(self, groups: Sequence[Group]) -> list[Floats]:
        """Features of the samples of each group, ``(K, 2 d)`` each.

        Raises:
            DataError: a sample has no text, or no place in the model's template.
        """
        rendered = [self._rendered(group) for group in groups]
        flat = self.reader.read([one for of in rendered for one in of], label="reading options")
        ends = np.cumsum([len(of) for of in rendered])[:-1]
        return [described(part) for part in np.split(flat, ends)]

    def _rendered(self, group: Group) -> list[Rendered]:
        found = self.policy.template.render(group)
        for sample in found.samples:
            if not any(sample.completion.trained):
                raise DataError("an answer has no text", where=group.source or None)
        return [Rendered(sample) for sample in found.samples]


def as_group(question: Question) -> Group:
    """A question with its options as answers."""
    context = Context((Message("user", question.text),))
    samples = tuple(Sample(context, Completion((Message("assistant", one),))) for one in question.options)
    return Group(samples, source=question.text)


def described(states: Floats) -> Floats:
    """``(K, 2 d)`` from states ``(K, d)``: each less the mean of its question, and that mean."""
    mean = states.mean(0, keepdims=True)
    return np.concatenate([states - mean, np.repeat(mean, len(states), 0)], 1).astype(np.float32)
