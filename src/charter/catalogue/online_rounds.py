"""Fresh samples against a reference that follows the policy: BPO, iterated DPO, SPPO in rounds."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.online_preference import (
    ELSEWHERE,
    ONLINE_DPO,
    PAIRS,
    OnlineDPOOptions,
    OnlinePairOptions,
)
from charter.catalogue.rollouts import RolloutSpec
from charter.catalogue.sources_online import ONLINE


class BPOOptions(OnlineDPOOptions):
    """Options of direct preference optimisation with the behaviour policy as reference."""

    sync_ref_model: bool = True
    """Let the reference follow the policy: it is the policy that sampled."""

    ref_model_mixup_alpha: float = Field(1.0, gt=0, le=1)
    """Share of the policy when the reference is mixed with it; 1 = replaced by it."""

    ref_model_sync_steps: int = Field(1, ge=1)
    """Optimizer steps between mixtures: 1 = on-policy; more = phases, as the paper's."""

    lora_members: int = Field(1, ge=1)
    """Adapters of lora_r that learn side by side from the same pairs, each by itself; their average is the
    policy: it samples, it is the reference, it is saved. Each costs a forward and a backward pass."""

    @property
    def adapter_rank(self) -> int:
        """All members together."""
        return self.lora_r * self.lora_members

    @model_validator(mode="after")
    def _members(self) -> Self:
        """Only adapters can be members."""
        if self.lora_members > 1 and not self.use_peft:
            raise ValueError("lora_members has no effect without use_peft")
        return self


BPO = Entry(
    name="bpo",
    title="Online DPO in the proximity of the behaviour policy",
    family="online",
    paper="2406.12168",
    sources=ONLINE["bpo"],
    data="prompts",
    reference="moving",
    terms=ONLINE_DPO.terms,
    options=BPOOptions,
    models=("policy", "reference (a copy of the trained weights)"),
    best_for="online DPO that may go far from where it started",
    watch="KL to the first model is not limited: use max_kl",
    elsewhere=(*ELSEWHERE, "lora_members"),
    paper_settings={"beta": 0.1},
    rollouts=RolloutSpec(PAIRS, stepper="charter.training.members:members_stepper"),
    traits=Traits(
        formula="online DPO, ref = the policy that sampled the round",
        mechanism="the trust region moves with the policy",
        stability="the loss starts at log 2 after every synchronisation",
        complexity="online DPO and a copy of the weights",
    ),
)


class IterativeDPOOptions(OnlinePairOptions):
    """Options of iterated DPO."""

    num_generations: int = Field(8, ge=2)
    """Completions of each prompt; the best is held against the worst."""

    steps_per_generation: int = Field(8, ge=1)
    """Optimizer steps the completions of a round are split over."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint."""

    loss_type: Literal["sigmoid", "hinge", "ipo"] = "sigmoid"
    """Loss of a pair."""

    sync_ref_model: bool = True
    """Let the reference follow the policy: each round is held against the round before."""

    ref_model_mixup_alpha: float = Field(1.0, gt=0, le=1)
    """Share of the policy when the reference is mixed with it; 1 = replaced by it."""

    ref_model_sync_steps: int = Field(8, ge=1)
    """Optimizer steps between mixtures: a round's."""


ITERATIVE_DPO = Entry(
    name="iterative-dpo",
    title="Iterated DPO: rounds of sampling and training, each against the last",
    family="online",
    paper="2312.16682; 2401.10020",
    data="prompts",
    reference="moving",
    terms=ONLINE_DPO.terms,
    options=IterativeDPOOptions,
    models=BPO.models,
    best_for="few large rounds: sampling and training apart",
    watch="each round may move as far as the last, and the distances add up",
    elsewhere=ELSEWHERE,
    rollouts=RolloutSpec(PAIRS),
    traits=Traits(
        formula="DPO on the best against the worst of n, ref = the policy a round before",
        mechanism="offline DPO several times, on data of the model it trains",
        stability="off-policy within a round",
        complexity="DPO and rounds",
    ),
)


class SPPOIterativeOptions(OnlinePairOptions):
    """Options of self-play preference optimisation in rounds."""

    per_device_train_batch_size: int = Field(40, ge=1)
    """Completions per optimizer step, before gradient_accumulation_steps multiplies it."""

    num_generations: int = Field(5, ge=2)
    """Completions of each prompt; the ones that win most and least are trained on."""

    steps_per_generation: int = Field(8, ge=1)
    """Optimizer steps the completions of a round are split over."""

    beta: float = Field(0.001, gt=0)
    """One over the paper's eta."""

    sync_ref_model: bool = True
    """Let the reference follow the policy: each round is held against the round before."""

    ref_model_mixup_alpha: float = Field(1.0, gt=0, le=1)
    """Share of the policy when the reference is mixed with it; 1 = replaced by it."""

    ref_model_sync_steps: int = Field(8, ge=1)
    """Optimizer steps between mixtures: a round's."""


SPPO_ITERATIVE = Entry(
    name="sppo-iterative",
    title="Self-play preference optimisation in rounds",
    family="online",
    paper="2405.00675",
    data="prompts",
    reference="moving",
    terms=(TermSpec("charter.objectives.preference:DPO", ("beta",), fixed={"loss_type": "sppo"}),),
    options=SPPOIterativeOptions,
    models=BPO.models,
    best_for="win rates of several samples against each other",
    watch="a small beta makes targets large: the learning rate must be small",
    elsewhere=ELSEWHERE,
    paper_settings={"beta": 0.001, "num_generations": 5},
    rollouts=RolloutSpec("charter.training.credit.pairs:win_rates"),
    traits=Traits(
        formula="(log pi/ref - (P(win) - 1/2) / beta)^2 of the best and the worst of n",
        mechanism="multiplicative weights on win rates",
        stability="regression: the target is finite",
        complexity="as iterated DPO",
    ),
)

ENTRIES: tuple[Entry, ...] = (BPO, ITERATIVE_DPO, SPPO_ITERATIVE)
