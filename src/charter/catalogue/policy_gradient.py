"""GRPO and its published variants: advantages relative to the group."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.rollouts import ROLLOUTS, RolloutOptions, RolloutSpec
from charter.catalogue.sources_online import ONLINE

_SURROGATE = "charter.objectives.policy_gradient:ClippedSurrogate"
_ENTROPY = TermSpec("charter.objectives.entropy_bonus:EntropyBonus", weight="entropy_coef")


SamplingMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


class GRPOOptions(RolloutOptions):
    """Options of group relative policy optimisation; TRL's GRPOConfig."""

    beta: float = Field(0.0, ge=0)
    """Weight of the KL to the reference in the loss; 0 = no reference."""

    epsilon: float = Field(0.2, gt=0)
    """How far below 1 a probability ratio still earns something, and above unless epsilon_high says."""

    epsilon_high: float | None = Field(None, gt=0)
    """How far above 1; None = epsilon. With loss_type cispo the largest weight itself; None = 5."""

    delta: float | None = Field(None, gt=1)
    """Largest ratio of tokens with a negative advantage (two-sided clipping); None = no limit."""

    loss_type: Literal["grpo", "dapo", "bnpo", "dr_grpo", "cispo"] = "dapo"
    """What the sum over tokens is divided by: ``grpo`` each answer by its length, ``dapo`` and ``bnpo``
    all tokens of the step, ``dr_grpo`` a constant, ``cispo`` all tokens, with weights that are clipped
    instead of gradients."""

    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Divide advantages by the deviation of the group's rewards, of the round's, or not."""

    importance_sampling_level: Literal["token", "sequence", "sequence_token"] = "token"
    """Whose probability ratio: the token's, or the answer's (a mean over its tokens, GSPO)."""

    use_bias_correction_kl: bool = True
    """Multiply the KL in the loss by the ratio, which makes its gradient unbiased off-policy."""

    multi_objective_aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "sum_then_normalize"
    """Several rewards: add, then normalise in the group; or normalise each, then add (2601.05242)."""

    importance_sampling_correction: bool = False
    """Weigh tokens by how much likelier the trainer finds them than the sampler did (TRL: on, for vLLM;
    Charter's decoder computes what the trainer computes). Not in TRL under this name."""

    importance_sampling_mode: SamplingMode = "token_truncate"
    """Truncate those weights or leave tokens out, by the token's ratio or the whole answer's. Not in TRL
    under this name."""

    importance_sampling_clip_max: float | None = Field(2.0, gt=0)
    """Largest weight (TRL: 3). Not in TRL under this name."""

    importance_sampling_clip_min: float | None = Field(None, gt=0)
    """Smallest weight that is kept; None = any. Not in TRL under this name."""

    entropy_coef: float = Field(0.0, ge=0)
    """Weight of an entropy bonus; 0 = none."""

    @model_validator(mode="after")
    def _own(self) -> Self:
        """Options have an effect."""
        given = self.model_fields_set
        correction = sorted(
            name for name in given if name.startswith("importance_sampling_") and name[20:] in _CORRECTION
        )
        if correction and not self.importance_sampling_correction:
            raise ValueError(f"{', '.join(correction)} has no effect without importance_sampling_correction")
        if "use_bias_correction_kl" in given and not self.beta:
            raise ValueError("use_bias_correction_kl has no effect without beta")
        if self.num_generations < 2:
            raise ValueError("num_generations must be at least 2: a group of one has no advantage")
        if self.multi_objective_aggregation == "normalize_then_sum" and "scale_rewards" in given:
            raise ValueError(
                "scale_rewards has no effect with multi_objective_aggregation: normalize_then_sum"
            )
        if self.multi_objective_aggregation == "normalize_then_sum" and self.missing_eos_penalty:
            raise ValueError(
                "missing_eos_penalty has no effect with multi_objective_aggregation: normalize_then_sum; "
                "add eos to reward_funcs"
            )
        if self.loss_type == "cispo" and {"epsilon", "delta"} & given:
            raise ValueError("epsilon and delta have no effect with loss_type cispo: give epsilon_high")
        return self

    @property
    def uses_reference(self) -> bool:
        """Only where the loss holds a KL."""
        return self.beta > 0


_CORRECTION = ("mode", "clip_max", "clip_min")

_SURROGATE_OPTIONS = (
    "loss_type",
    "epsilon",
    "epsilon_high",
    "delta",
    "importance_sampling_level",
    "beta",
    "use_bias_correction_kl",
    "max_completion_length",
    "importance_sampling_correction",
    "importance_sampling_mode",
    "importance_sampling_clip_max",
    "importance_sampling_clip_min",
)
_ELSEWHERE = (
    *(name for name in ROLLOUTS if name not in _SURROGATE_OPTIONS),
    "scale_rewards",
    "multi_objective_aggregation",
)
_GROUP = RolloutSpec("charter.training.credit.advantage:group_relative")

GRPO = Entry(
    name="grpo",
    title="Group relative policy optimisation",
    family="policy-gradient",
    paper="2402.03300",
    sources=ONLINE["grpo"],
    data="prompts",
    reference="frozen",
    terms=(TermSpec(_SURROGATE, _SURROGATE_OPTIONS), _ENTROPY),
    options=GRPOOptions,
    models=("policy", "reference (with beta; under LoRA the policy without its adapter)"),
    best_for="rewards that can be checked, when the model already succeeds now and then",
    watch="groups in which all succeed or all fail teach nothing (frac_reward_zero_std)",
    elsewhere=_ELSEWHERE,
    paper_settings={
        "loss_type": "grpo",
        "beta": 0.04,
        "num_generations": 64,
        "per_device_train_batch_size": 1024,
        "max_completion_length": 1024,
    },
    rollouts=_GROUP,
    traits=Traits(
        formula="-min(rho A, clip(rho) A) + beta KL, A = (r - mean of the group) / std of the group",
        mechanism="answers above their group's mean become likelier, those below less likely",
        stability="steady with small steps; collapses where the reward can be gamed",
        complexity="no critic; group size, clip range, what the loss is divided by",
    ),
)


def _variant(
    name: str, title: str, paper: str, options: type[GRPOOptions], best_for: str, watch: str, traits: Traits
) -> Entry:
    """A published variant: GRPO's terms with other defaults."""
    return Entry(
        name=name,
        title=title,
        family="policy-gradient",
        paper=paper,
        data="prompts",
        reference="frozen",
        terms=GRPO.terms,
        options=options,
        models=GRPO.models,
        best_for=best_for,
        watch=watch,
        elsewhere=_ELSEWHERE + tuple(n for n in options.model_fields if n not in GRPOOptions.model_fields),
        rollouts=_GROUP,
        traits=traits,
    )


class DAPOOptions(GRPOOptions):
    """Options of decoupled clip and dynamic sampling policy optimisation."""

    epsilon_high: float | None = Field(0.28, gt=0)
    """How far above 1 a ratio still earns something: room for unlikely tokens (clip-higher)."""

    dynamic_sampling: bool = True
    """Sample other prompts in place of those whose completions are all rewarded alike."""

    max_resampling: int = Field(4, ge=1)
    """With dynamic sampling: try at most so many times the prompts of a round."""

    @model_validator(mode="after")
    def _resampling(self) -> Self:
        """Options have an effect."""
        if "max_resampling" in self.model_fields_set and not self.dynamic_sampling:
            raise ValueError("max_resampling has no effect without dynamic_sampling")
        return self


DAPO = _variant(
    "dapo",
    "Decoupled clip and dynamic sampling policy optimisation",
    "2503.14476",
    DAPOOptions,
    "long answers with rewards that can be checked",
    "dynamic sampling costs rollouts where most prompts are too easy or too hard (rollouts/prompts_tried)",
    Traits(
        formula="GRPO over all tokens alike, clipped at 1 - 0.2 and 1 + 0.28, no KL",
        mechanism="GRPO that keeps entropy up and spends its steps on prompts with a signal",
        stability="entropy falls more slowly; add soft_overlong to the rewards for long answers",
        complexity="GRPO, a second clip bound, resampling",
    ),
)


class DrGRPOOptions(GRPOOptions):
    """Options of GRPO done right."""

    loss_type: Literal["grpo", "dapo", "bnpo", "dr_grpo", "cispo"] = "dr_grpo"
    """What the sum over tokens is divided by; see grpo."""

    scale_rewards: Literal["group", "batch", "none"] = "none"
    """Divide advantages by the deviation of the group's rewards, of the round's, or not."""


DR_GRPO = _variant(
    "dr-grpo",
    "GRPO without its length and difficulty bias",
    "2503.20783",
    DrGRPOOptions,
    "answers whose length should not grow by itself",
    "the loss depends on max_completion_length, and so does the learning rate that fits",
    Traits(
        formula="-sum of min(rho A, clip(rho) A) / (answers * max_completion_length), A = r - group mean",
        mechanism="the plain policy gradient with the group's mean as baseline",
        stability="as GRPO; wrong answers are not drawn out",
        complexity="GRPO with two divisions fewer",
    ),
)


class GSPOOptions(GRPOOptions):
    """Options of group sequence policy optimisation."""

    loss_type: Literal["grpo", "dapo", "bnpo", "dr_grpo", "cispo"] = "grpo"
    """What the sum over tokens is divided by; see grpo."""

    importance_sampling_level: Literal["token", "sequence", "sequence_token"] = "sequence"
    """Whose probability ratio: the token's, or the answer's."""

    epsilon: float = Field(3e-4, gt=0)
    """How far below 1 an answer's ratio still earns something."""

    epsilon_high: float | None = Field(4e-4, gt=0)
    """How far above 1."""


GSPO = _variant(
    "gspo",
    "Group sequence policy optimisation",
    "2507.18071",
    GSPOOptions,
    "several steps on one round, and mixture-of-experts models",
    "clips a hundred times more tokens than GRPO, as it should",
    Traits(
        formula="-min(s A, clip(s) A), s = exp(mean over tokens of log pi - log pi_old)",
        mechanism="GRPO with the answer as the unit of the ratio, as it is of the reward",
        stability="steadier than token ratios when rollouts are reused",
        complexity="GRPO; its clip range is a thousand times narrower",
    ),
)


class CISPOOptions(GRPOOptions):
    """Options of clipped importance sampling policy optimisation."""

    loss_type: Literal["grpo", "dapo", "bnpo", "dr_grpo", "cispo"] = "cispo"
    """What the sum over tokens is divided by; see grpo."""


CISPO = _variant(
    "cispo",
    "Clipped importance sampling policy optimisation",
    "2506.13585",
    CISPOOptions,
    "several steps on one round without losing the rare tokens that matter",
    "no clip holds back a step: mind the learning rate",
    Traits(
        formula="-min(rho, max) A log pi, the weight without gradient",
        mechanism="every token keeps its gradient; only its weight is bounded",
        stability="weights are bounded, steps are not",
        complexity="one bound",
    ),
)


ENTRIES: tuple[Entry, ...] = (GRPO, DAPO, DR_GRPO, GSPO, CISPO)
