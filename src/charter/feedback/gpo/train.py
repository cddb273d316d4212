"""Meta-training: each step asks what a group would answer, from some of its other answers.

Shapes: B groups, R points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charter.data.survey import Survey
from charter.errors import ConfigError, DataError, TrainingFault
from charter.feedback.gpo.features import Features
from charter.feedback.gpo.points import Points, Shares, batched, points_of
from charter.interrupt import graceful
from charter.models.gpo import GPONetwork, GPOShape, shape_json
from charter.objectives.gpo import gpo_nll
from charter.progress import progress
from charter.rundir import sha256_json

_SAVE_EVERY = 200


@dataclass(frozen=True)
class GPOTraining:
    """How the network is trained.

    Attributes:
        steps: optimizer steps. For some hundreds the mean of all groups is all that is learned.
        learning_rate: peak of Adam; it falls to 0 along a cosine.
        groups_per_step: groups of people in a step, drawn anew each time.
        most_context: most questions in the context; how many there are is drawn evenly from 0 to it.
        most_targets: most questions asked in a step.
        seed: of first weights and of what is drawn.

    Raises:
        ConfigError: a number that makes no sense.
    """

    steps: int = 3000
    learning_rate: float = 1e-3
    groups_per_step: int = 8
    most_context: int = 20
    most_targets: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "groups_per_step", "most_context", "most_targets"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1", where="gpo")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError("learning_rate must be above 0", where="gpo")


def train_network(
    survey: Survey,
    features: Features,
    shape: GPOShape,
    training: GPOTraining,
    checkpoint: Path | None = None,
) -> tuple[GPONetwork, list[float]]:
    """Train on every group of ``survey``; returns the network and the loss of each step.

    Args:
        survey: groups to train on.
        features: of every question's options.
        shape: of the network.
        training: see :class:`GPOTraining`.
        checkpoint: file that keeps the state; a stopped training with the same inputs goes on there.

    Raises:
        DataError: fewer than two groups, or a group with fewer than two questions.
        TrainingFault: the loss is not finite.
        Interrupted: the person asked to stop; the state is kept where there is a checkpoint.
    """
    _check(survey)
    run = _Run(survey, features, shape, training, checkpoint)
    run.resume()
    with graceful() as stop, progress("gpo", training.steps, done=run.done) as advance:
        while run.done < training.steps:
            loss = run.step()
            advance(1, note=f"loss {loss:.2f}")
            if stop.requested or run.done % _SAVE_EVERY == 0:
                run.save()
            kept = "start again: it goes on" if checkpoint else "give a folder, so that it can go on"
            stop.check("stopped while GPO was trained", fix=kept)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return run.network.eval(), run.losses


class _Run:
    """A training in progress."""

    def __init__(
        self,
        survey: Survey,
        features: Features,
        shape: GPOShape,
        training: GPOTraining,
        checkpoint: Path | None,
    ) -> None:
        self.survey, self.features, self.training, self.checkpoint = survey, features, training, checkpoint
        self.network = GPONetwork(shape, training.seed)
        every = np.concatenate([features[one.text] for one in survey.questions])
        self.network.standardize(torch.from_numpy(every))
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=training.learning_rate)
        self.losses: list[float] = []
        self.sha = sha256_json([survey.rows(), shape_json(shape), asdict(training), _digest(features)])

    @property
    def done(self) -> int:
        """Steps taken."""
        return len(self.losses)

    def step(self) -> float:
        """One optimizer step; the loss is per option, in nats."""
        rng = np.random.default_rng([self.training.seed, self.done])
        made = [self._task(name, rng) for name in self._drawn(rng)]
        batch = batched([points for points, _ in made])
        for row, (points, shares) in enumerate(made):
            batch["share"][row, : len(points.share_R)] = torch.from_numpy(shares)
        mean, log_std = self.network(batch["x"], batch["share"], batch["context"])
        nll = gpo_nll(mean, log_std, batch["share"], batch["question"], batch["target"])
        loss = nll.sum() / batch["target"].sum()
        if not torch.isfinite(loss):
            raise TrainingFault(f"loss is {float(loss)}", fix="lower the learning rate")
        for group in self.optimizer.param_groups:
            share = self.done / self.training.steps
            group["lr"] = self.training.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.losses.append(float(loss.detach()))
        return self.losses[-1]

    def _drawn(self, rng: np.random.Generator) -> list[str]:
        groups = self.survey.groups
        count = min(self.training.groups_per_step, len(groups))
        return [groups[index] for index in rng.choice(len(groups), count, replace=False)]

    def _task(self, group: str, rng: np.random.Generator) -> tuple[Points, Any]:
        """Points of a group of which some answers are known, and the shares of all of them."""
        own: Shares = self.survey.shares[group]
        texts = [str(text) for text in rng.permutation(sorted(own))]
        count = int(rng.integers(0, min(self.training.most_context, len(texts) - 1) + 1))
        context, targets = texts[:count], texts[count : count + self.training.most_targets]
        points = points_of(self.features, {text: own[text] for text in context}, targets)
        shares = [own[text] for text in [*sorted(context), *targets]]
        return points, np.concatenate([np.asarray(of, dtype=np.float32) for of in shares])

    def save(self) -> None:
        """Keep the state, whole or not at all."""
        if self.checkpoint is None:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.checkpoint.with_name(f"{self.checkpoint.name}.new")
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save({**state, "losses": self.losses, "sha": self.sha}, scratch)
        scratch.replace(self.checkpoint)

    def resume(self) -> None:
        """Go on where a training with the same inputs stopped."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        found: Mapping[str, Any] = torch.load(self.checkpoint, weights_only=True)
        if found["sha"] == self.sha:
            self.network.load_state_dict(found["network"])
            self.optimizer.load_state_dict(found["optimizer"])
            self.losses = list(found["losses"])


def _digest(features: Features) -> Sequence[str]:
    import hashlib

    return [
        f"{text}:{hashlib.sha256(np.ascontiguousarray(of).tobytes()).hexdigest()}"
        for text, of in sorted(features.items())
    ]


def _check(survey: Survey) -> None:
    if len(survey.groups) < 2:
        raise DataError(
            f"{len(survey.groups)} group to learn from: what groups have in common takes two or more",
            where=survey.name or None,
        )
    for group in survey.groups:
        if len(survey.shares[group]) < 2:
            raise DataError(
                f"{group!r} answered fewer than two questions", where=survey.name or None, fix="remove it"
            )
