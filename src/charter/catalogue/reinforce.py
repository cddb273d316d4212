"""Policy gradients without a critic: REINFORCE and its baselines, RLOO, REINFORCE++, P3O."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.rollouts import ROLLOUTS, RolloutOptions, RolloutSpec, check_on_policy
from charter.catalogue.sources_online import ONLINE

_SURROGATE = "charter.objectives.policy_gradient:ClippedSurrogate"


class RLOOOptions(RolloutOptions):
    """Options of REINFORCE leave-one-out; TRL's RLOOConfig."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt; each is held against the mean of the others."""

    beta: float = Field(0.05, ge=0)
    """Weight of the KL to the reference, taken off the reward."""

    epsilon: float = Field(0.2, gt=0)
    """How far below 1 an answer's ratio still earns something, and above unless epsilon_high says."""

    epsilon_high: float | None = Field(None, gt=0)
    """How far above 1; None = epsilon."""

    normalize_advantages: bool = False
    """Whiten advantages over the round."""

    @property
    def uses_reference(self) -> bool:
        """Only where the reward holds a KL."""
        return self.beta > 0


RLOO = Entry(
    name="rloo",
    title="REINFORCE leave-one-out",
    family="policy-gradient",
    paper="2402.14740",
    sources=ONLINE["rloo"],
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.policy_gradient:RLOO", ("epsilon", "epsilon_high")),),
    options=RLOOOptions,
    models=("policy", "reference (with beta; under LoRA the policy without its adapter)"),
    best_for="rewards of a reward model, with few completions a prompt",
    watch="the ratio is of whole answers: one update a round",
    elsewhere=(*ROLLOUTS, "beta", "normalize_advantages"),
    paper_settings={"num_generations": 4, "beta": 0.03},
    rollouts=RolloutSpec(
        "charter.training.credit.advantage:leave_one_out",
        reads_if=(("old_logps", "beta"), ("ref_logps", "beta")),
    ),
    traits=Traits(
        formula="-min(rho A, clip(rho) A), A = R - mean of the others' R, R = r - beta KL",
        mechanism="REINFORCE with the other completions of the prompt as an unbiased baseline",
        stability="low variance from four completions on; nothing divides by a deviation",
        complexity="no critic; the number of completions and beta",
    ),
)


class ReinforceOptions(RolloutOptions):
    """Options of REINFORCE."""

    baseline: Literal["ema", "leave_one_out"] = "ema"
    """What a reward is held against: the running mean of earlier rounds, or the group's others."""

    baseline_decay: float = Field(0.9, ge=0, lt=1)
    """Of the running mean, a round."""

    beta: float = Field(0.0, ge=0)
    """Weight of the KL to the reference, taken off the reward; 0 = no reference."""

    aggregation: Literal["sequence_sum", "token_mean"] = "sequence_sum"
    """An answer is one action, or the mean goes over tokens."""

    @model_validator(mode="after")
    def _baseline(self) -> Self:
        """Options have an effect."""
        if "baseline_decay" in self.model_fields_set and self.baseline != "ema":
            raise ValueError("baseline_decay has no effect without baseline: ema")
        if self.baseline == "leave_one_out" and self.num_generations < 2:
            raise ValueError("baseline: leave_one_out needs num_generations of at least 2")
        check_on_policy(self)
        return self

    @property
    def uses_reference(self) -> bool:
        """Only where the reward holds a KL."""
        return self.beta > 0


_KL_IN_REWARD = (("old_logps", "beta"), ("ref_logps", "beta"))

REINFORCE = Entry(
    name="reinforce",
    title="REINFORCE with a baseline",
    family="policy-gradient",
    paper="Williams 1992, 10.1007/BF00992696",
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.policy_gradient:Reinforce", ("aggregation",)),),
    options=ReinforceOptions,
    models=("policy", "reference (with beta; under LoRA the policy without its adapter)"),
    best_for="the simplest thing that works; one completion of each prompt is enough",
    watch="a running mean knows nothing of the prompt: the variance is that of the prompts' difficulty",
    elsewhere=(*ROLLOUTS, "baseline", "baseline_decay", "beta"),
    rollouts=RolloutSpec("charter.training.credit.advantage:baseline", reads_if=_KL_IN_REWARD),
    traits=Traits(
        formula="-(R - b) log pi(y|x), R = r - beta KL",
        mechanism="what earned more than the baseline becomes likelier",
        stability="unbiased and noisy; no clip holds back a step",
        complexity="a baseline",
    ),
)


class ReMaxOptions(RolloutOptions):
    """Options of REINFORCE with the greedy completion as baseline."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt, the greedy one among them, which is not trained on."""

    beta: float = Field(0.0, ge=0)
    """Weight of the KL to the reference, taken off the reward; 0 = no reference."""

    aggregation: Literal["sequence_sum", "token_mean"] = "sequence_sum"
    """An answer is one action, or the mean goes over tokens."""

    @model_validator(mode="after")
    def _greedy(self) -> Self:
        """One step a round, and a baseline that is greedy."""
        check_on_policy(self)
        if self.environment is not None:
            raise ValueError("environment: it is played by sampling, and the baseline here is greedy")
        return self

    @property
    def uses_reference(self) -> bool:
        """Only where the reward holds a KL."""
        return self.beta > 0


REMAX = Entry(
    name="remax",
    title="REINFORCE with the greedy completion as baseline",
    family="policy-gradient",
    paper="2310.10505",
    data="prompts",
    reference="frozen",
    terms=REINFORCE.terms,
    options=ReMaxOptions,
    models=REINFORCE.models,
    best_for="a baseline that knows the prompt, from one more completion",
    watch="greedy completions of a small model repeat themselves, and make a poor baseline",
    elsewhere=(*ROLLOUTS, "beta"),
    rollouts=RolloutSpec(
        "charter.training.credit.advantage:against_greedy",
        sampled_by=("policy", "greedy"),
        reads_if=_KL_IN_REWARD,
    ),
    traits=Traits(
        formula="-(R(y) - R(greedy)) log pi(y|x)",
        mechanism="REINFORCE held against what the policy would say without chance",
        stability="as the greedy completion is: it can jump",
        complexity="one greedy completion a prompt",
    ),
)


class ReinforcePlusPlusOptions(RolloutOptions):
    """Options of REINFORCE++."""

    num_generations: int = Field(1, ge=1)
    """Completions of each prompt; one is enough."""

    beta: float = Field(0.01, ge=0)
    """Weight of the KL to the reference, taken off the reward of each token."""

    epsilon: float = Field(0.2, gt=0)
    """How far below 1 a ratio still earns something, and above unless epsilon_high says."""

    epsilon_high: float | None = Field(None, gt=0)
    """How far above 1; None = epsilon."""

    @property
    def uses_reference(self) -> bool:
        """Only where the reward holds a KL."""
        return self.beta > 0


_CLIP = ("epsilon", "epsilon_high")

REINFORCE_PLUS_PLUS = Entry(
    name="reinforce-plus-plus",
    title="REINFORCE++: PPO's tricks without a critic",
    family="policy-gradient",
    paper="2501.03262",
    data="prompts",
    reference="frozen",
    terms=(TermSpec(_SURROGATE, _CLIP),),
    options=ReinforcePlusPlusOptions,
    models=("policy", "reference (with beta; under LoRA the policy without its adapter)"),
    best_for="many different prompts, one completion each",
    watch="whitening over tokens lets long answers set the scale",
    elsewhere=(*ROLLOUTS, "beta"),
    rollouts=RolloutSpec(
        "charter.training.credit.advantage:to_go",
        reads_if=_KL_IN_REWARD,
    ),
    traits=Traits(
        formula="PPO's clip with A = whitened sum of later rewards, KL in the reward of each token",
        mechanism="REINFORCE, clipped, held against the mean of the whole round",
        stability="needs a large round: its mean is the baseline",
        complexity="no critic; clip range and beta",
    ),
)


class ReinforceBaselineOptions(RolloutOptions):
    """Options of REINFORCE++-baseline."""

    beta: float = Field(0.001, ge=0)
    """Weight of the KL to the reference in the loss (k2); 0 = no reference."""

    epsilon: float = Field(0.2, gt=0)
    """How far below 1 a ratio still earns something, and above unless epsilon_high says."""

    epsilon_high: float | None = Field(None, gt=0)
    """How far above 1; None = epsilon."""

    @model_validator(mode="after")
    def _groups(self) -> Self:
        """A group of one has no mean to be held against."""
        if self.num_generations < 2:
            raise ValueError("num_generations must be at least 2 (reinforce-plus-plus takes 1)")
        return self

    @property
    def uses_reference(self) -> bool:
        """Only where the loss holds a KL."""
        return self.beta > 0


REINFORCE_PLUS_PLUS_BASELINE = Entry(
    name="reinforce-plus-plus-baseline",
    title="REINFORCE++ with the group's mean as baseline",
    family="policy-gradient",
    paper="2501.03262",
    data="prompts",
    reference="frozen",
    terms=(
        TermSpec(_SURROGATE, (*_CLIP, "beta"), fixed={"kl_estimator": "k2", "use_bias_correction_kl": False}),
    ),
    options=ReinforceBaselineOptions,
    models=REINFORCE_PLUS_PLUS.models,
    best_for="rewards that can be checked, where GRPO's division by small deviations hurts",
    watch="as GRPO: groups of equals teach nothing",
    elsewhere=ROLLOUTS,
    rollouts=RolloutSpec("charter.training.credit.advantage:group_baseline"),
    traits=Traits(
        formula="PPO's clip with A = whitened (r - mean of the group), plus beta k2",
        mechanism="GRPO that divides by the deviation of the round, not of the group",
        stability="hard and easy prompts weigh alike",
        complexity="as GRPO",
    ),
)


class P3OOptions(RolloutOptions):
    """Options of pairwise proximal policy optimisation."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt; all pairs of them are trained on."""

    clip: Literal["joint", "separate", "none"] = "joint"
    """Clip the pair's ratio, each answer's, or nothing."""

    epsilon: float = Field(0.2, gt=0)
    """How far from 1 a ratio still earns something."""

    beta: float = Field(0.05, ge=0)
    """Weight of the KL to the reference, taken off the reward."""

    @property
    def uses_reference(self) -> bool:
        """Only where the reward holds a KL."""
        return self.beta > 0


P3O = Entry(
    name="p3o",
    title="Pairwise proximal policy optimisation",
    family="policy-gradient",
    paper="2310.00212",
    sources=ONLINE["p3o"],
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.p3o:P3O", ("clip", "epsilon", "beta")),),
    options=P3OOptions,
    models=("policy", "reference (with beta; under LoRA the policy without its adapter)"),
    best_for="reward models, whose rewards mean something only as differences",
    watch="ratios of whole answers: few steps a round",
    elsewhere=ROLLOUTS,
    rollouts=RolloutSpec("charter.training.credit.advantage:rewarded", reads=("old_logps",)),
    traits=Traits(
        formula="-(r1 - r2) (log pi(y1) - log pi(y2)) / 2, clipped",
        mechanism="a policy gradient on pairs, which no shift of a prompt's rewards changes",
        stability="as PPO's clip on whole answers",
        complexity="no critic; where to clip",
    ),
)

ENTRIES: tuple[Entry, ...] = (
    REINFORCE,
    REMAX,
    RLOO,
    REINFORCE_PLUS_PLUS,
    REINFORCE_PLUS_PLUS_BASELINE,
    P3O,
)
