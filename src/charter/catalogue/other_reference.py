"""DPO against another reference than the model it starts from: the stage before, the sampling policy."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.columns import PAIR, TEXT_OF_PAIRS, Columns
from charter.catalogue.entry import Entry, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.preference import dpo_term
from charter.catalogue.sources_offline import OFFLINE

_DPO = dpo_term("sigmoid", "beta")


class StepwiseOptions(TrainOptions):
    """Options of stepwise direct preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW, the whole schedule in every stage."""

    num_train_epochs: float = Field(3.0, gt=0)
    """Passes over each stage's part of the data; ignored when max_steps is positive."""

    max_steps: int = Field(-1, ge=-1)
    """Optimizer steps of each stage; -1 = decided by num_train_epochs."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the stage's reference."""

    num_stages: int = Field(2, ge=2)
    """Parts the data is split into; each part's reference is the policy after the part before."""

    stage_order: Literal["given", "margin"] = "given"
    """``given``: rows as they stand in the file; ``margin``: easy pairs first, by how much likelier the
    starting policy finds a token of the chosen answer."""

    @model_validator(mode="after")
    def _merges(self) -> Self:
        """A stage merges the adapter of the stage before, which four-bit weights do not allow."""
        if self.load_in_4bit:
            raise ValueError("load_in_4bit cannot go over several stages: use bf16 weights, or dpo")
        return self


class BehaviourOptions(TrainOptions):
    """Options of DPO against the policy that sampled the answers."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the sampling policy."""


SDPO = Entry(
    name="sdpo",
    title="Stepwise direct preference optimisation",
    family="preference",
    paper="2403.19270",
    sources=OFFLINE["sdpo"],
    data="preference",
    columns=Columns(
        f"{TEXT_OF_PAIRS}; at least `num_stages` rows",
        (
            PAIR,
            {"prompt": "What is the capital of Spain?", "chosen": "Madrid.", "rejected": "It is Lisbon."},
        ),
    ),
    reference="stepwise",
    terms=(_DPO,),
    options=StepwiseOptions,
    models=("policy", "reference (its cached log-probs)"),
    best_for="pairs of several kinds or sources, taught one after the other, easy ones first",
    watch="each stage may move as far as the one before, and the distances add up (max_kl is per stage)",
    elsewhere=("num_stages", "stage_order"),
    paper_settings={"beta": 0.1, "num_stages": 2},
    traits=Traits(
        formula="DPO on each part of the data, ref = the policy after the part before",
        mechanism="a better reference sets a higher bar for each next part",
        stability="loss starts at log 2 in every stage; drift from the first model is not limited",
        complexity="DPO several times: a fresh optimizer and new reference log-probs for each part",
    ),
)

DPO_BEHAVIOUR = Entry(
    name="dpo-behaviour",
    title="DPO against the policy that sampled the answers (BPO's reference)",
    family="preference",
    paper="2406.12168",
    sources=OFFLINE["dpo-behaviour"],
    data="preference",
    columns=Columns(
        "groups that Charter sampled at temperature 1 and compared (`stages/*-compare/groups.jsonl` of a "
        "recipe's run), which hold the log-probs of their sampler; a file of pairs alone is refused",
        (),
    ),
    reference="behaviour",
    terms=(_DPO,),
    options=BehaviourOptions,
    models=("policy",),
    best_for="pairs sampled by an earlier version of the policy, in rounds of sampling and training",
    watch="needs groups that Charter sampled at temperature 1; KL to the first model is not limited",
    rows="charter.data.sampled:with_sampler_logps",
    paper_settings={"beta": 0.1},
    traits=Traits(
        formula="-log sigmoid(beta * (D_w - D_l)), D = log pi(y|x) - log pi_sampler(y|x)",
        mechanism="DPO whose trust region is around the policy the answers came from",
        stability="no forward of a reference; recorded log-probs differ from recomputed ones by rounding",
        complexity="one model; the log-probs come with the samples",
    ),
)

ENTRIES: tuple[Entry, ...] = (SDPO, DPO_BEHAVIOUR)
