"""Methods that keep the disagreement of groups."""

from __future__ import annotations

from pydantic import Field

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.preference import dpo_term

P_STAR = "p_star"
"""Under this name a belief's judgement carries the share of people who hold it."""
BELIEF = "belief"
"""Under this name it carries 1 where the row's answers were judged under that belief, else 0."""


class GDPOOptions(TrainOptions):
    """Options of group distributional preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint of the preference term."""

    renormalize: bool = False
    """Compare with the distribution over the given beliefs only; off, as the authors do, their
    probability among all texts is raised to 1 as well."""

    calibration_weight: float = Field(1.0, ge=0)
    """Weight of the KL between the people's beliefs and the model's."""

    belief_nll_weight: float = Field(1.0, ge=0)
    """Weight of the NLL of the belief that the answers were judged under."""

    belief_suffix: str = "\n"
    """Text between a belief and the answer; part of the belief, so that none is the beginning of another."""


GDPO = Entry(
    name="gdpo",
    title="Group distributional preference optimisation (not NVIDIA's reward-normalising GDPO)",
    family="pluralistic",
    paper="2412.20299",
    data="preference",
    reference="frozen",
    terms=(
        TermSpec("charter.objectives.belief:BeliefKL", ("renormalize",), weight="calibration_weight"),
        dpo_term("sigmoid", "beta"),
        TermSpec("charter.objectives.belief:BeliefNLL", weight="belief_nll_weight"),
    ),
    options=GDPOOptions,
    models=("policy", "reference (its cached log-probs)"),
    best_for="people who disagree: answers follow a belief, and beliefs follow the people's shares",
    watch="beliefs cost the probability of their whole text: keep them to a word or a digit",
    rows="charter.data.beliefs:with_beliefs",
    arrange="charter.data.beliefs:split_beliefs",
    elsewhere=("belief_suffix",),
    paper_settings={
        "beta": 0.1,
        "learning_rate": 5e-7,
        "per_device_train_batch_size": 32,
        "num_train_epochs": 20.0,
        "max_length": 512,
        "max_prompt_length": 256,
    },
    traits=Traits(
        formula="KL(p* || pi(b|x)) + DPO(y_w, y_l | x, b) - log pi(b|x)",
        mechanism="writes a belief first, as often as people hold it, then the answer such people prefer",
        stability="as DPO; the NLL pulls to the beliefs' frequency in the rows: keep to the people's shares",
        complexity="people's shares for each prompt; three terms",
    ),
)

ENTRIES: tuple[Entry, ...] = (GDPO,)
