"""Process reward models: a scalar head read at the end of each step of an answer."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.sources_offline import OFFLINE


class ProcessRewardOptions(TrainOptions):
    """Options of process reward models; names and defaults are those of TRL's PRM trainer."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW."""

    step_separator: str = Field("\n", min_length=1)
    """Text between the steps; the label lives on its last token, so judge with the same one."""

    train_on_last_step_only: bool = False
    """Train on the label of the last step alone, as an outcome reward model does."""

    until_first_error: bool = False
    """Train on the labels up to and with the first wrong step (below 0.5), as PRM800K was labelled. Not in
    TRL."""

    max_completion_length: int | None = Field(None, ge=1)
    """Tokens of the steps together; labels behind it are cut off and counted. None = no limit."""

    @model_validator(mode="after")
    def _labels(self) -> Self:
        if self.train_on_last_step_only and self.until_first_error:
            raise ValueError("train_on_last_step_only leaves one label: until_first_error has no effect")
        return self


PROCESS_REWARD = Entry(
    name="process-reward",
    title="Process reward model on labelled steps",
    family="reward",
    paper="2305.20050",
    sources=OFFLINE["process-reward"],
    data="steps",
    reference="none",
    terms=(TermSpec("charter.objectives.process:ProcessReward"),),
    options=ProcessRewardOptions,
    models=("reward",),
    best_for="reasoning in steps, each labelled by people or by rollouts from it",
    watch="most steps are right, so accuracy flatters: read steps/accuracy_wrong",
    trains="reward",
    rows="charter.data.steps:separated",
    arrange="charter.data.steps:labelled_ends",
    elsewhere=("step_separator", "train_on_last_step_only", "until_first_error", "max_completion_length"),
    paper_settings={"until_first_error": True, "num_train_epochs": 2.0},
    traits=Traits(
        formula="-y log sigmoid(r) - (1 - y) log sigmoid(-r) at the end of each step, mean over steps",
        mechanism="tells at which step an answer goes wrong; a solution scores the product or minimum",
        stability="stable; learns the share of right steps first, and long answers then score low",
        complexity="one model with a head, one pass, labels for every step",
    ),
)

ENTRIES: tuple[Entry, ...] = (PROCESS_REWARD,)
