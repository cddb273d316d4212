"""How much the pluralism study does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """How much is done; a test does less.

    Attributes:
        questions: of the survey, evenly spread over it.
        sizes: known answers of a group.
        gpo_steps: of meta-training.
        gpo_width, gpo_layers: of the network.
        gpo_rates: learning rates that GPO chooses from.
        gpo_folds: training groups of which each is left out once for that choice.
        tuned_rates: learning rates that fine-tuning on a group chooses from.
        tuned_on: training groups on which it chooses.
        pairs: preferences, or votes, that a run trains on.
        votes: answers that stand for a question in fine-tuning on a group, in each order of the options.
        lr: of LoRA on the preferences of many.
        seeds: of what is trained.
        draws: of known questions, for what takes no time.
        model_draws: of known questions, for what asks the language model; the first of ``draws``.
    """

    questions: int = 60
    sizes: tuple[int, ...] = (0, 2, 8)
    gpo_steps: int = 1500
    gpo_width: int = 64
    gpo_layers: int = 3
    gpo_rates: tuple[float, ...] = (1e-3, 3e-3)
    gpo_folds: int = 8
    tuned_rates: tuple[float, ...] = (2e-4, 1e-3)
    tuned_on: int = 2
    pairs: int = 320
    votes: int = 4
    lr: float = 5e-4
    seeds: int = 2
    draws: int = 10
    model_draws: int = 2

    @property
    def most_known(self) -> int:
        """Questions of a group that may become known."""
        return max(self.sizes)
