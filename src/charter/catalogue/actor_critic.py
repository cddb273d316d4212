"""Policy gradients with a critic: PPO in its forms, TRPO, REINFORCE with a value baseline."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.columns import Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.rollouts import ROLLOUTS, RolloutOptions, RolloutSpec, check_on_policy
from charter.catalogue.sources_online import ONLINE

_SURROGATE = "charter.objectives.policy_gradient:ClippedSurrogate"
_VALUE = TermSpec("charter.objectives.value:ValueLoss", ("cliprange_value",), weight="vf_coef")
_ENTROPY = TermSpec("charter.objectives.entropy_bonus:EntropyBonus", weight="entropy_coef")
_MODELS = ("policy", "reference (under LoRA the policy without its adapter)", "critic")


class CriticOptions(RolloutOptions):
    """Options of methods with a critic; TRL's PPOConfig where it has them."""

    num_generations: int = Field(1, ge=1)
    """Completions of each prompt; with a critic one is enough."""

    kl_coef: float = Field(0.05, ge=0)
    """Weight of the KL to the reference, taken off the reward of each token; 0 = no reference."""

    target: float | None = Field(None, gt=0)
    """Adapt kl_coef so that the KL stays near so many nats per sequence (Ziegler 2019); None =
    fixed. Not in TRL."""

    horizon: float = Field(10000, gt=0)
    """Completions over which kl_coef adapts. Needs target. Not in TRL."""

    gamma: float = Field(1.0, gt=0, le=1)
    """Discount of later rewards, a token."""

    lam: float = Field(0.95, ge=0, le=1)
    """Of generalised advantage estimation: 1 = rewards to go, 0 = one step."""

    value_target: Literal["gae", "terminal"] = "gae"
    """The critic learns advantage + value, or the reward of the whole answer at every token.
    Not in TRL."""

    vf_coef: float = Field(0.1, gt=0)
    """Weight of the critic's loss."""

    cliprange_value: float | None = Field(0.2, gt=0)
    """How far a value may move in a round; None = as far as it likes."""

    whiten_advantages: bool = True
    """Give advantages mean 0 and deviation 1 over the round. Not in TRL."""

    whiten_scores: bool = False
    """Give a round's rewards mean 0 and deviation 1, before the KL is taken off (Llama 2). Not in TRL."""

    critic_learning_rate: float | None = Field(None, gt=0)
    """Peak learning rate of the critic; None = learning_rate. Not in TRL."""

    critic_model: str | None = None
    """A reward model the critic starts from (InstructGPT); None = the policy with a fresh head.
    Not in TRL."""

    @model_validator(mode="after")
    def _critic(self) -> Self:
        """Options have an effect."""
        if "horizon" in self.model_fields_set and self.target is None:
            raise ValueError("horizon has no effect without target")
        if self.target is not None and not self.kl_coef:
            raise ValueError("target has no effect with kl_coef: 0")
        return self

    @property
    def uses_reference(self) -> bool:
        """Where rewards hold a KL."""
        return self.kl_coef > 0


_CRITIC = (
    *ROLLOUTS,
    "kl_coef",
    "target",
    "horizon",
    "gamma",
    "lam",
    "value_target",
    "whiten_advantages",
    "whiten_scores",
    "critic_learning_rate",
    "critic_model",
)
_WITH_CRITIC = RolloutSpec(
    "charter.training.credit.advantage:with_critic",
    reads=("old_logps", "values"),
    reads_if=(("ref_logps", "kl_coef"),),
    critic=True,
)


def _check_leavable(options: RolloutOptions, target_kl: float | None) -> None:
    if target_kl is not None and options.steps_per_generation * options.num_iterations == 1:
        raise ValueError("target_kl has no effect on rounds of one step")


class PPOOptions(CriticOptions):
    """Options of proximal policy optimisation."""

    num_iterations: int = Field(4, ge=1)
    """Passes over the completions of a round (TRL: num_ppo_epochs)."""

    epsilon: float = Field(0.2, gt=0)
    """How far from 1 a probability ratio still earns something (TRL: cliprange)."""

    dual_clip: float | None = Field(None, gt=1)
    """Largest ratio of tokens with a negative advantage; None = no limit. Not in TRL."""

    beta: float = Field(0.0, ge=0)
    """Weight of a KL to the reference in the loss, beside the one in the reward; 0 = none."""

    entropy_coef: float = Field(0.0, ge=0)
    """Weight of an entropy bonus; 0 = none."""

    target_kl: float | None = Field(None, gt=0)
    """Leave a round once the KL to the policy that sampled it passes 1.5 times this; None = never.
    Not in TRL."""

    @model_validator(mode="after")
    def _reused(self) -> Self:
        """A round of one step cannot be left early."""
        _check_leavable(self, self.target_kl)
        return self

    @property
    def uses_reference(self) -> bool:
        """Where rewards or the loss hold a KL."""
        return self.kl_coef > 0 or self.beta > 0


_PPO_TERM = TermSpec(_SURROGATE, ("epsilon", "dual_clip", "beta"))

PPO = Entry(
    name="ppo",
    title="Proximal policy optimisation",
    family="policy-gradient",
    paper="1707.06347",
    sources=ONLINE["ppo"],
    data="prompts",
    reference="frozen",
    terms=(_PPO_TERM, _VALUE, _ENTROPY),
    options=PPOOptions,
    models=_MODELS,
    best_for="reward models, and rollouts that cost much and are used several times",
    watch="a critic that has learned nothing yet gives noise for advantages (value/error)",
    elsewhere=(*_CRITIC, "target_kl"),
    paper_settings={"num_iterations": 4, "epsilon": 0.2, "gamma": 1.0, "lam": 0.95},
    rollouts=_WITH_CRITIC,
    traits=Traits(
        formula="-min(rho A, clip(rho) A) + vf_coef (V - R)^2 / 2, A by GAE of r - kl_coef KL",
        mechanism="small steps on rollouts that are reused, each token held against the critic",
        stability="well understood; two learning rates, whitening and clipping must fit",
        complexity="a critic, its loss and its learning rate; the most settings of all",
    ),
)


class PPOPenaltyOptions(CriticOptions):
    """Options of PPO with a KL penalty in place of the clip."""

    num_iterations: int = Field(4, ge=1)
    """Passes over the completions of a round."""

    beta: float = Field(1.0, gt=0)
    """First weight of the KL to the policy that sampled the round."""

    kl_target: float | None = Field(0.01, gt=0)
    """Halve or double beta where that KL is far from this many nats a token; None = beta is fixed."""

    epsilon: float | None = Field(None, gt=0)
    """Clip the probability ratio too, this far from 1; None = the penalty alone."""

    target_kl: float | None = Field(None, gt=0)
    """Leave a round once that KL passes 1.5 times this; None = never."""

    @model_validator(mode="after")
    def _reused(self) -> Self:
        """A round of one step cannot be left early."""
        _check_leavable(self, self.target_kl)
        return self


PPO_PENALTY = Entry(
    name="ppo-penalty",
    title="PPO with an adaptive KL penalty, in place of the clip or beside it",
    family="policy-gradient",
    paper="1707.06347",
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.ppo_penalty:PPOPenalty", ("beta", "kl_target", "epsilon")), _VALUE),
    options=PPOPenaltyOptions,
    models=_MODELS,
    best_for="a bound on the step that is felt everywhere, not only beyond the clip",
    watch="beta reacts a round late",
    elsewhere=(*_CRITIC, "target_kl"),
    rollouts=_WITH_CRITIC,
    traits=Traits(
        formula="-rho A + beta KL(old || new), beta doubled or halved towards kl_target; with epsilon, "
        "PPO's clip in place of -rho A",
        mechanism="PPO held back by a spring, in place of a wall or before it",
        stability="a first beta that is too small lets one round run away",
        complexity="as PPO, with a controller for the clip",
    ),
)


class PPOPtxOptions(PPOOptions):
    """Options of PPO mixed with pretraining gradients."""

    ptx_coef: float = Field(27.8, gt=0)
    """Weight of the likelihood of the pretraining text (InstructGPT)."""

    ptx_data: str = Field(min_length=1)
    """File of pretraining text (column ``text``)."""

    ptx_batch_size: int = Field(8, ge=1)
    """Texts per optimizer step."""


PPO_PTX = Entry(
    name="ppo-ptx",
    title="PPO with pretraining gradients mixed in",
    family="policy-gradient",
    paper="2203.02155",
    sources=ONLINE["ppo-ptx"],
    data="prompts",
    columns=Columns(
        "`prompt`; the option `ptx_data` names a second file, with `text`",
        ({"prompt": "What is the capital of France?"},),
    ),
    reference="frozen",
    terms=(
        _PPO_TERM,
        _VALUE,
        _ENTROPY,
        TermSpec(
            "charter.objectives.supervised:NLL",
            weight="ptx_coef",
            fixed={"name": "pretrain", "part": "pretrain"},
        ),
    ),
    options=PPOPtxOptions,
    models=_MODELS,
    best_for="keeping what the model knew while it is aligned",
    watch="ptx_coef is large because PPO's loss is small: look at both terms",
    elsewhere=(*_CRITIC, "target_kl", "ptx_data", "ptx_batch_size"),
    paper_settings={"ptx_coef": 27.8, "kl_coef": 0.02, "epsilon": 0.2},
    rollouts=_WITH_CRITIC,
    traits=Traits(
        formula="PPO - ptx_coef * mean log pi(pretraining text)",
        mechanism="PPO that keeps predicting ordinary text",
        stability="fewer regressions on public benchmarks (InstructGPT)",
        complexity="PPO and a second data set",
    ),
)


class ReinforceValueOptions(CriticOptions):
    """Options of REINFORCE with a learned value as baseline."""

    lam: float = Field(1.0, ge=0, le=1)
    """1 = the whole return is held against the value; less bootstraps (actor-critic)."""

    whiten_advantages: bool = False
    """Give advantages mean 0 and deviation 1 over the round."""

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        """It is on-policy."""
        check_on_policy(self)
        return self


REINFORCE_VALUE = Entry(
    name="reinforce-value",
    title="REINFORCE with a learned value as baseline",
    family="policy-gradient",
    paper="Sutton et al. 1999; 1602.01783",
    data="prompts",
    reference="frozen",
    terms=(
        TermSpec("charter.objectives.policy_gradient:Reinforce", fixed={"aggregation": "token_mean"}),
        _VALUE,
    ),
    options=ReinforceValueOptions,
    models=_MODELS,
    best_for="seeing what a critic is worth, without PPO's other parts",
    watch="the critic must be ahead of the policy: give it the larger learning rate",
    elsewhere=_CRITIC,
    rollouts=_WITH_CRITIC,
    traits=Traits(
        formula="-(R_t - V_t) log pi(y_t), V learned by regression on R",
        mechanism="REINFORCE held against what the critic expected at each token",
        stability="unbiased with lam 1, as noisy as the critic is wrong",
        complexity="a critic and its learning rate",
    ),
)


class TRPOOptions(CriticOptions):
    """Options of trust region policy optimisation."""

    bf16: bool = False
    """Compute in bfloat16; a natural gradient needs float32, so it must be off."""

    max_kl_step: float = Field(0.01, gt=0)
    """Largest KL of a step, nats a token on average (TRPO's delta)."""

    damping: float = Field(0.1, ge=0)
    """Added to the Fisher matrix."""

    cg_iters: int = Field(10, ge=1)
    """Iterations of the conjugate gradient."""

    backtrack_coeff: float = Field(0.8, gt=0, lt=1)
    """The step is shortened by this until it holds the bound."""

    backtrack_iters: int = Field(10, ge=1)
    """How often it is shortened before it is given up."""

    lam: float = Field(0.97, ge=0, le=1)
    """Of generalised advantage estimation."""

    critic_learning_rate: float | None = Field(1e-4, gt=0)
    """Peak learning rate of the critic; the policy's step has no learning rate."""

    @model_validator(mode="after")
    def _steps(self) -> Self:
        """The step's length is decided by max_kl_step."""
        idle = sorted({"learning_rate", "max_grad_norm", "weight_decay"} & self.model_fields_set)
        if idle:
            raise ValueError(f"{', '.join(idle)} has no effect: max_kl_step decides how long a step is")
        if self.bf16:
            raise ValueError("a natural gradient is computed in float32: leave bf16 out")
        if self.lora_dropout:
            raise ValueError("lora_dropout would make the KL of a step another one each time: leave it out")
        return self


TRPO = Entry(
    name="trpo",
    title="Trust region policy optimisation",
    family="policy-gradient",
    paper="1502.05477",
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.trust_region:ImportanceSurrogate"), _VALUE),
    options=TRPOOptions,
    models=_MODELS,
    best_for="steps whose size is a KL, not a learning rate; small adapters",
    watch="each step costs some twenty passes over the round, through the plain forward",
    elsewhere=(*_CRITIC, "max_kl_step", "damping", "cg_iters", "backtrack_coeff", "backtrack_iters"),
    paper_settings={"max_kl_step": 0.01, "damping": 0.1, "cg_iters": 10},
    rollouts=RolloutSpec(
        _WITH_CRITIC.credit,
        reads=_WITH_CRITIC.reads,
        reads_if=_WITH_CRITIC.reads_if,
        critic=True,
        stepper="charter.training.natural:natural_stepper",
    ),
    traits=Traits(
        formula="max E[rho A] s.t. KL(old || new) <= max_kl_step",
        mechanism="a natural gradient step as long as the trust region allows",
        stability="every step keeps its bound, or is not taken",
        complexity="conjugate gradient and line search; practical with LoRA",
    ),
)

ENTRIES: tuple[Entry, ...] = (PPO, PPO_PENALTY, PPO_PTX, REINFORCE_VALUE, TRPO)
