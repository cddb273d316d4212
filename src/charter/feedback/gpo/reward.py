"""A reward for one group of people, from a few of its preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from charter.errors import DataError
from charter.feedback.gpo.features import Embedder, Floats
from charter.feedback.gpo.predictor import GPO
from charter.types import Group, Judgement, PairTarget, SampleTarget


@dataclass(frozen=True)
class GPOReward:
    """Judges answers as a group of people would, of which only a few judgements are known.

    Attributes:
        gpo: the trained network.
        embedder: over the model it was trained with.
        examples: of the group: answers with judgements of pairs (``load_groups`` reads them from rows).
        name: ``judge`` of the judgements.
    """

    gpo: GPO
    embedder: Embedder
    examples: Sequence[Group]
    name: str = "gpo"

    def __post_init__(self) -> None:
        if self.embedder.reading != self.gpo.reading:
            raise DataError(
                f"the features are read as {self.embedder.reading}, the GPO takes {self.gpo.reading}",
                fix="make the embedder with the GPO's reading",
            )
        self.gpo.check_model(self.embedder.digest)

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """A judgement of each sample: its score less the mean of its group's; higher is better.

        The softmax of the scores is the share of the people who would choose each answer among these.
        """
        features, known = self._known()
        own = self.embedder.groups([_plain(group) for group in groups])
        names = [f"asked {index}" for index in range(len(groups))]
        everything = {**features, **dict(zip(names, own, strict=True))}
        found = [one.scores for one in self.gpo.predict(everything, known, names)] if names else []
        return [
            [
                Judgement(SampleTarget(i), float(score - scores.mean()), judge=self.name)
                for i, score in enumerate(scores)
            ]
            for scores in found
        ]

    def _known(self) -> tuple[dict[str, Floats], Mapping[str, Sequence[float]]]:
        """Features and shares of the examples; a preference is a question with the answers as options."""
        found = self.embedder.groups([_plain(one) for one in self.examples])
        names = [f"known {index:06d}" for index in range(len(found))]
        shares = [win_shares(one) for one in self.examples]
        return dict(zip(names, found, strict=True)), dict(zip(names, shares, strict=True))


def win_shares(group: Group) -> list[float]:
    """How often each answer of a group wins its comparisons, made to sum to 1; a pair gives 1 and 0.

    Raises:
        DataError: nothing is compared.
    """
    wins = np.zeros(len(group.samples))
    for said in group.judgements:
        if isinstance(said.target, PairTarget) and said.verdict == "judged":
            chance = 1.0 if said.probability is None else said.probability
            wins[said.target.better] += chance
            wins[said.target.worse] += 1.0 - chance
    if not wins.sum() > 0:
        raise DataError("an example compares no answers", where=group.source or None)
    return (wins / wins.sum()).tolist()  # type: ignore[no-any-return]


def _plain(group: Group) -> Group:
    """Without token ids, so that every template renders it anew."""
    samples = tuple(
        replace(
            one,
            context=replace(one.context, token_ids=()),
            completion=replace(one.completion, token_ids=(), trained=(), logps=()),
        )
        for one in group.samples
    )
    return replace(group, samples=samples, judgements=())
