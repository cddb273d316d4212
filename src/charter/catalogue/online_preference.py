"""Preference learning on fresh samples: online DPO and IPO, IPO-MD, Nash-MD, Nash-EMA, XPO, BPO, SPPO."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.rollouts import ROLLOUTS, RolloutOptions, RolloutSpec

_MODELS = ("policy", "reference (under LoRA the policy without its adapter)")
_PAIRS = "charter.training.credit.pairs:best_against_worst"


class OnlinePairOptions(RolloutOptions):
    """Options of methods that compare completions of the same prompt."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt; the best is held against the worst."""

    preference_temperature: float | None = Field(None, gt=0)
    """A pair holds with the probability sigmoid(reward difference / this); None = it is certain.
    Not in TRL."""


_ELSEWHERE = (*ROLLOUTS, "preference_temperature")


class OnlineDPOOptions(OnlinePairOptions):
    """Options of online DPO; TRL's OnlineDPOConfig where it has them."""

    learning_rate: float = Field(5e-7, gt=0)
    """Peak learning rate of AdamW. LoRA wants 10 to 100 times what full fine-tuning wants."""

    temperature: float = Field(0.9, gt=0)
    """Of sampling."""

    max_completion_length: int = Field(64, ge=1)
    """Most tokens of a completion (TRL: max_new_tokens)."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""

    loss_type: Literal["sigmoid", "hinge", "ipo"] = "sigmoid"
    """Loss of a pair."""


ONLINE_DPO = Entry(
    name="online-dpo",
    title="Online DPO: pairs of fresh samples",
    family="online",
    paper="2402.04792",
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.preference:DPO", ("beta", "loss_type")),),
    options=OnlineDPOOptions,
    models=_MODELS,
    best_for="a judge or reward model at hand, and DPO's simplicity",
    watch="pairs of equals are left out (pairs/left_out): the better the model, the fewer remain",
    elsewhere=_ELSEWHERE,
    paper_settings={"beta": 0.1, "temperature": 0.9, "max_completion_length": 64},
    rollouts=RolloutSpec(_PAIRS),
    traits=Traits(
        formula="-log sigmoid(beta (D_w - D_l)), both sampled now, judged now",
        mechanism="DPO on data that is never out of date",
        stability="steadier than DPO: the pairs are always the policy's own",
        complexity="DPO and a judge in the loop",
    ),
)


class OnlineIPOOptions(OnlinePairOptions):
    """Options of online IPO."""

    beta: float = Field(0.1, gt=0)
    """The paper's tau: strength of the KL constraint."""

    loss_type: Literal["soft", "regression"] = "soft"
    """Of the published form, or regression of the log-ratio on the preference; the same gradient."""


_IPO_TERM = TermSpec("charter.objectives.online_ipo:OnlineIPO", ("beta", "loss_type"))

ONLINE_IPO = Entry(
    name="online-ipo",
    title="Online IPO: soft preferences between fresh samples",
    family="online",
    paper="2403.08635",
    data="prompts",
    reference="frozen",
    terms=(_IPO_TERM,),
    options=OnlineIPOOptions,
    models=_MODELS,
    best_for="judges that say how sure they are",
    watch="sums over tokens: beta depends on the length of answers",
    elsewhere=_ELSEWHERE,
    rollouts=RolloutSpec(_PAIRS),
    traits=Traits(
        formula="p (h - 1/(2 beta))^2 + (1 - p) (-h - 1/(2 beta))^2",
        mechanism="the regularised game's equilibrium by regression on self-play",
        stability="the target is finite: no pair is pushed for ever",
        complexity="as online DPO",
    ),
)


class IPOMDOptions(OnlineIPOOptions):
    """Options of IPO with samples of a mixture."""

    mixture_coef: float = Field(0.125, gt=0, lt=1)
    """Share of the reference in the geometric mixture that is sampled."""

    @property
    def samples_another(self) -> bool:
        """The reference, mixed into it."""
        return True


IPO_MD = Entry(
    name="ipo-md",
    title="IPO-MD: online IPO on samples between policy and reference",
    family="online",
    paper="2403.08635",
    data="prompts",
    reference="frozen",
    terms=(_IPO_TERM,),
    options=IPOMDOptions,
    models=_MODELS,
    best_for="online IPO that should explore near the reference",
    watch="decodes two models",
    elsewhere=(*_ELSEWHERE, "mixture_coef"),
    paper_settings={"beta": 1.0, "mixture_coef": 0.125},
    rollouts=RolloutSpec(_PAIRS, sampled_by=("mixture",)),
    traits=Traits(
        formula="online IPO, y ~ policy^(1 - c) reference^c",
        mechanism="the fixed point of Nash-MD by regression",
        stability="as online IPO, off-policy by the mixture",
        complexity="online IPO and a mixture",
    ),
)


class XPOOptions(OnlinePairOptions):
    """Options of exploratory preference optimisation; TRL's XPOConfig where it has them."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint."""

    alpha: float = Field(1e-5, ge=0)
    """Weight of the exploration bonus."""

    loss_type: Literal["sigmoid", "ipo"] = "sigmoid"
    """Loss of a pair."""

    @property
    def samples_another(self) -> bool:
        """The reference."""
        return True


XPO = Entry(
    name="xpo",
    title="Exploratory preference optimisation",
    family="online",
    paper="2405.21046",
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.xpo:XPO", ("beta", "alpha", "loss_type")),),
    options=XPOOptions,
    models=_MODELS,
    best_for="finding answers the reference would not give",
    watch="the bonus pushes down the reference's samples: alpha must be tiny",
    elsewhere=_ELSEWHERE,
    rollouts=RolloutSpec(_PAIRS, sampled_by=("policy", "reference")),
    traits=Traits(
        formula="DPO on (policy's, reference's) sample + alpha log pi(reference's sample)",
        mechanism="online DPO that is paid for leaving the beaten track",
        stability="with a large alpha it unlearns how to answer",
        complexity="online DPO and a bonus",
    ),
)


class NashMDOptions(RolloutOptions):
    """Options of Nash mirror descent; TRL's NashMDConfig where it has them."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt: the last is the opponent's."""

    beta: float = Field(0.008, ge=0)
    """Weight of the KL to the reference (the paper's tau; TRL: 0.1)."""

    mixture_coef: float = Field(0.125, ge=0, le=1)
    """Share of the reference in the opponent's geometric mixture (TRL: 0.5)."""

    kl_mode: Literal["reward_to_go", "same_token"] = "reward_to_go"
    """A token answers for the KL of all later ones, or for its own only (as TRL did). Not in TRL as an
    option."""

    preference_temperature: float = Field(1.0, gt=0)
    """A sample beats another with the probability sigmoid(reward difference / this). Not in TRL."""

    @property
    def samples_another(self) -> bool:
        """The reference, mixed into it."""
        return True


_NASH_TERM = TermSpec("charter.objectives.nash:NashMD", ("beta", "kl_mode"))
_AGAINST = "charter.training.credit.nash:against_opponent"

NASH_MD = Entry(
    name="nash-md",
    title="Nash-MD: policy gradient against a mixture with the reference",
    family="online",
    paper="2312.00886",
    data="prompts",
    reference="frozen",
    terms=(_NASH_TERM,),
    options=NashMDOptions,
    models=_MODELS,
    best_for="preferences that no reward explains: rock, paper, scissors",
    watch="win rates near one half give small gradients: large rounds",
    elsewhere=(*ROLLOUTS, "mixture_coef", "preference_temperature"),
    paper_settings={"beta": 0.008, "mixture_coef": 0.125},
    rollouts=RolloutSpec(_AGAINST, sampled_by=("policy", "mixture")),
    traits=Traits(
        formula="-(P(y beats y') - 1/2) log pi(y) + beta KL, y' ~ policy^(1 - c) reference^c",
        mechanism="climbs towards the policy that no other beats",
        stability="the opponent near the reference holds it back",
        complexity="a mixture to decode; c and beta",
    ),
)


class NashEMAOptions(RolloutOptions):
    """Options of Nash policy gradient against the moving average."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt: the last is the opponent's."""

    beta: float = Field(0.008, ge=0)
    """Weight of the KL to the reference."""

    ema_decay: float = Field(0.999, ge=0, lt=1)
    """Of the opponent's weights, a step."""

    kl_mode: Literal["reward_to_go", "same_token"] = "reward_to_go"
    """A token answers for the KL of all later ones, or for its own only."""

    preference_temperature: float = Field(1.0, gt=0)
    """A sample beats another with the probability sigmoid(reward difference / this). Not in TRL."""

    @property
    def samples_another(self) -> bool:
        """The moving average, which is the one model that follows."""
        return True


NASH_EMA = Entry(
    name="nash-ema",
    title="Nash-EMA: policy gradient against the average of past policies",
    family="online",
    paper="2312.00886",
    data="prompts",
    reference="frozen",
    terms=(_NASH_TERM,),
    options=NashEMAOptions,
    models=(*_MODELS, "moving average of the trained weights"),
    best_for="self-play against the past",
    watch="under LoRA the average is of the factors, not of their product",
    elsewhere=(*ROLLOUTS, "ema_decay", "preference_temperature"),
    paper_settings={"ema_decay": 0.999},
    rollouts=RolloutSpec(_AGAINST, sampled_by=("policy", "moving")),
    traits=Traits(
        formula="-(P(y beats y') - 1/2) log pi(y) + beta KL, y' ~ average of past weights",
        mechanism="fictitious play with a fading memory",
        stability="slow opponent, slow drift",
        complexity="a second set of trained weights",
    ),
)


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
    data="prompts",
    reference="moving",
    terms=ONLINE_DPO.terms,
    options=BPOOptions,
    models=("policy", "reference (a copy of the trained weights)"),
    best_for="online DPO that may go far from where it started",
    watch="KL to the first model is not limited: use max_kl",
    elsewhere=(*_ELSEWHERE, "lora_members"),
    paper_settings={"beta": 0.1},
    rollouts=RolloutSpec(_PAIRS, stepper="charter.training.members:members_stepper"),
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
    elsewhere=_ELSEWHERE,
    rollouts=RolloutSpec(_PAIRS),
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
    elsewhere=_ELSEWHERE,
    paper_settings={"beta": 0.001, "num_generations": 5},
    rollouts=RolloutSpec("charter.training.credit.pairs:win_rates"),
    traits=Traits(
        formula="(log pi/ref - (P(win) - 1/2) / beta)^2 of the best and the worst of n",
        mechanism="multiplicative weights on win rates",
        stability="regression: the target is finite",
        complexity="as iterated DPO",
    ),
)

ENTRIES: tuple[Entry, ...] = (
    ONLINE_DPO,
    ONLINE_IPO,
    IPO_MD,
    XPO,
    NASH_MD,
    NASH_EMA,
    BPO,
    ITERATIVE_DPO,
    SPPO_ITERATIVE,
)
