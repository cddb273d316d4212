"""Methods that keep the disagreement of groups."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from charter.catalogue.columns import BY_GROUP, Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.preference import dpo_term
from charter.catalogue.reward import CenteredOptions
from charter.catalogue.sources_offline import OFFLINE

P_STAR = "p_star"
"""Under this name a belief's judgement carries the share of people who hold it."""
BELIEF = "belief"
"""Under this name it carries 1 where the row's answers were judged under that belief, else 0."""
GROUP_SCALE = "group_scale"
"""Under this name the better answer of a pair carries N / N_g: all pairs over those of its people's group."""


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

    @model_validator(mode="after")
    def _calibrates(self) -> Self:
        """Nothing is compared where the term that compares is off."""
        if self.renormalize and not self.calibration_weight:
            raise ValueError("renormalize has no effect with calibration_weight: 0")
        return self


GDPO = Entry(
    name="gdpo",
    title="Group distributional preference optimisation (not NVIDIA's reward-normalising GDPO)",
    family="pluralistic",
    paper="2412.20299",
    sources=OFFLINE["gdpo"],
    data="preference",
    columns=Columns(
        "`prompt`, `chosen`, `rejected`, with `beliefs` (two or more texts), `p_star` (the share of people "
        "who hold each, summing to 1) and `belief` (the index of the one under which the answers were "
        "judged)",
        (
            {
                "prompt": "Is it right to eat meat?",
                "chosen": "Yes, as people always have.",
                "rejected": "No, animals suffer for it.",
                "beliefs": ["yes", "no", "it depends"],
                "p_star": [0.5, 0.2, 0.3],
                "belief": 0,
            },
        ),
    ),
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
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 150,
        "max_grad_norm": 10.0,
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


class GroupRobustOptions(TrainOptions):
    """Options of group-robust preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""

    group_step_size: float = Field(0.1, ge=0)
    """How fast the weights of groups follow their losses (mirror ascent); 0 = every group counts the same."""


class GroupRobustIPOOptions(GroupRobustOptions):
    """Options of group-robust IPO."""

    group_step_size: float = Field(1e-3, ge=0)
    """How fast the weights of groups follow their losses; a squared loss starts at 1 / (2 beta)^2, so this is
    small. 0 = every group counts the same."""


_ROBUST = "charter.objectives.group_robust:GroupRobust"

GR_DPO = Entry(
    name="gr-dpo",
    title="Group-robust DPO: the worst-off group counts most",
    family="pluralistic",
    paper="2405.20304",
    data="preference",
    columns=BY_GROUP,
    reference="frozen",
    terms=(TermSpec(_ROBUST, ("beta", "group_step_size"), fixed={"loss_type": "sigmoid"}),),
    options=GroupRobustOptions,
    models=("policy", "reference (its cached log-probs)"),
    best_for="pairs from several groups of people (a column group), some of them small or hard to please",
    watch="prompts must name the group, or none can please groups that disagree; noisy groups win weight",
    rows="charter.data.people_groups:by_group",
    arrange="charter.data.people_groups:with_group_scale",
    paper_settings={"group_step_size": 0.01},
    traits=Traits(
        formula="max over weights a of sum_g a_g * L_g, L_g = mean over the group of DPO(y_w, y_l)",
        mechanism="DPO on reweighted groups: a_g grows as exp(step * L_g), so the worst group gains weight",
        stability="as DPO; small groups have large weights per pair, so their noise is amplified",
        complexity="DPO, one weight per group and its step size",
    ),
)

GR_IPO = Entry(
    name="gr-ipo",
    title="Group-robust IPO: the worst-off group counts most",
    family="pluralistic",
    paper="2405.20304",
    data="preference",
    columns=BY_GROUP,
    reference="frozen",
    terms=(TermSpec(_ROBUST, ("beta", "group_step_size"), fixed={"loss_type": "ipo"}),),
    options=GroupRobustIPOOptions,
    models=("policy", "reference (its cached log-probs)"),
    best_for="as gr-dpo, with few pairs a group: margins have a target, so that easy groups stop pulling",
    watch="beta sets the target margin 1 / (2 beta) in nats of the whole answer: 5 nats at 0.1",
    rows="charter.data.people_groups:by_group",
    arrange="charter.data.people_groups:with_group_scale",
    paper_settings={
        "beta": 0.01,
        "learning_rate": 1e-4,
        "per_device_train_batch_size": 16,
        "num_train_epochs": 10.0,
        "group_step_size": 5e-6,
    },
    traits=Traits(
        formula="max over weights a of sum_g a_g * L_g, L_g = mean of (D_w - D_l - 1 / (2 beta))^2",
        mechanism="IPO on reweighted groups: a_g grows as exp(step * L_g)",
        stability="as IPO; the step size must fit the scale of the squared loss",
        complexity="IPO, one weight per group and its step size",
    ),
)


class RewardByGroupOptions(CenteredOptions):
    """Options of reward models that are told whose preferences to predict."""

    mask_share: float = Field(0.1, ge=0, le=1)
    """Share of rows whose group is not named, so that the model also answers for people of no known group;
    which ones is decided by seed."""


REWARD_BY_GROUP = Entry(
    name="reward-by-group",
    title="Reward model conditioned on a group of people",
    family="pluralistic",
    paper="2402.05133",
    data="preference",
    columns=BY_GROUP,
    reference="none",
    terms=(
        TermSpec(
            "charter.objectives.reward:BradleyTerry",
            ("center_rewards_coefficient", "center_rewards_type"),
            fixed={"use_margin": False, "per_prompt": False, "per_dimension": False},
        ),
    ),
    options=RewardByGroupOptions,
    models=("reward",),
    best_for="pairs that say whose they are (a column group), where groups like different answers",
    watch="a group that is not in the data gets the reward of nobody: see `charter gpo` for new groups",
    trains="reward",
    rows="charter.data.people_groups:with_group_prefix",
    elsewhere=("mask_share",),
    traits=Traits(
        formula="-log sigmoid(r(g, x, y_w) - r(g, x, y_l)), g masked in some rows",
        mechanism="one reward model for all groups: whose preference it is stands before the prompt",
        stability="as reward; a small group borrows from the others, and drowns where it contradicts them",
        complexity="reward, one line of text before each prompt",
    ),
)

ENTRIES: tuple[Entry, ...] = (GDPO, GR_DPO, GR_IPO, REWARD_BY_GROUP)
