"""What a group would answer, from a few of its answers: the trained network at work.

Shapes: R points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from charter.errors import UserError
from charter.feedback.gpo.features import Features
from charter.feedback.gpo.points import Shares, batched, points_of
from charter.feedback.judging.distilled.features import Reading
from charter.models.gpo import GPONetwork
from charter.objectives.gpo import option_log_shares


@dataclass(frozen=True)
class Predicted:
    """What a group would answer to one question.

    Attributes:
        shares: of each option; they sum to 1.
        std: how uncertain each share is.
        scores: of each option, on the network's own scale; only differences mean something.
    """

    shares: NDArray[np.float64]
    std: NDArray[np.float64]
    scores: NDArray[np.float64]

    def interval(self, z: float = 1.96) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper ends of each share, within 0 and 1."""
        spread = z * self.std
        return np.clip(self.shares - spread, 0.0, 1.0), np.clip(self.shares + spread, 0.0, 1.0)


@dataclass(frozen=True)
class GPO:
    """A trained network, and what its features are.

    Attributes:
        network: in evaluation mode.
        reading: how the language model's states became features.
        model: what the person called that model.
        digest: of its weights; features of another model mean nothing here. "" = not known.
        groups: of people it learned from.
    """

    network: GPONetwork
    reading: Reading
    model: str = ""
    digest: str = ""
    groups: tuple[str, ...] = ()

    def check_model(self, digest: str) -> None:
        """Refuse features of another model.

        Raises:
            UserError: the digests differ.
        """
        if self.digest and digest != self.digest:
            raise UserError(
                f"this GPO reads features of {self.model or 'another model'} "
                f"({self.digest[:8]}), and these are of {digest[:8]}",
                fix="load the model it was trained with",
            )

    def predict(self, features: Features, context: Shares, targets: Sequence[str]) -> list[Predicted]:
        """Predictions for ``targets``, the same to the last bit in whatever order ``context`` comes.

        Args:
            features: of every question in ``context`` and ``targets``.
            context: what the group is known to have answered; empty = nothing.
            targets: questions' texts.

        Raises:
            DataError: a question without features; shares that do not fit its options.
        """
        points = points_of(features, context, targets)
        batch = batched([points])
        with torch.inference_mode():
            mean, log_std = self.network(batch["x"], batch["share"], batch["context"])
            share = option_log_shares(mean.double(), batch["question"]).exp()
        columns = [one[0].double().cpu().numpy() for one in (share, log_std.exp(), mean)]
        found = []
        for index in range(len(context), len(context) + len(targets)):
            rows = points.question_R == index
            found.append(Predicted(*(column[rows] for column in columns)))
        return found
