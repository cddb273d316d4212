"""Reward models: a scalar or vector head on the language model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.columns import PAIR, RANKED, Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.sources_offline import OFFLINE

_BT = "charter.objectives.reward:BradleyTerry"
_CENTER = ("center_rewards_coefficient", "center_rewards_type")


class RewardOptions(TrainOptions):
    """Options of every reward model; TRL's defaults."""

    learning_rate: float = Field(1e-4, gt=0)
    """Peak learning rate of AdamW; suits an adapter, all weights want about 1e-5."""

    num_train_epochs: float = Field(1.0, gt=0)
    """Passes over the data; a second one overfits."""


class CenteredOptions(RewardOptions):
    """Options of reward models on pairs."""

    center_rewards_coefficient: float | None = Field(None, gt=0)
    """Weight of a term that pulls rewards to mean 0, as their origin is arbitrary without; 0.01 is usual."""

    center_rewards_type: Literal["squared", "absolute_mean"] = "squared"
    """The term: mean of (chosen + rejected)^2, as TRL's; or the absolute value of the step's mean of
    chosen + rejected, as LLaVA-RLHF's. Not in TRL."""

    @model_validator(mode="after")
    def _centered(self) -> Self:
        if "center_rewards_type" in self.model_fields_set and self.center_rewards_coefficient is None:
            raise ValueError("center_rewards_type has no effect without center_rewards_coefficient")
        return self


class BradleyTerryOptions(CenteredOptions):
    """Options of Bradley-Terry reward models; names and defaults of TRL's RewardTrainer."""

    use_margin: bool = False
    """Subtract the column margin, or the difference of scores, inside the sigmoid. Not in TRL, which does so
    wherever the data has the column."""

    per_prompt: bool = False
    """Mean over the pairs of a prompt, then over prompts, so that a prompt with many pairs counts as one
    (the algorithm reward-kwise). Not in TRL."""

    per_dimension: bool = False
    """One output for each principle that pairs are judged on, such as helpful and harmless, each trained by
    its own pairs. Not in TRL."""


class RewardMarginOptions(CenteredOptions):
    """Options of reward models with margins."""

    margin_set: Literal["small", "large"] | None = None
    """Margins of Llama 2 for the words in the column strength (significantly better, better, slightly better,
    negligibly better): small 1, 2/3, 1/3, 0; large 3, 2, 1, 0. None = the numbers in the column margin."""


class RewardKwiseOptions(CenteredOptions):
    """Options of reward models on all pairs of a prompt."""


class RewardPlackettLuceOptions(RewardOptions):
    """Options of reward models on rankings."""


class RewardRegressionOptions(RewardOptions):
    """Options of reward models on ratings."""


class RewardPMPOptions(RewardOptions):
    """Options of preference-model pretraining."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW."""

    lm_coef: float = Field(1.0, ge=0)
    """Weight of the likelihood of the better answers beside the ranking loss; 0 = ranking alone."""


REWARD = Entry(
    name="reward",
    title="Reward model on pairs (Bradley-Terry)",
    family="reward",
    paper="2203.02155",
    sources=OFFLINE["reward"],
    data="preference",
    reference="none",
    terms=(TermSpec(_BT, ("use_margin", *_CENTER, "per_prompt", "per_dimension")),),
    options=BradleyTerryOptions,
    models=("reward",),
    best_for="pairs; scores for choosing among samples, filtering, or reinforcement learning",
    watch="it learns length and style first: compare it with always-the-longest in `charter reward-bench`",
    trains="reward",
    rows="charter.data.margins:for_rewards",
    paper_settings={"learning_rate": 9e-6, "per_device_train_batch_size": 64, "per_prompt": True},
    traits=Traits(
        formula="-log sigmoid(r(x, y_w) - r(x, y_l)); with soft labels p times that and 1 - p the reverse",
        mechanism="rewards whose differences are log-odds of being preferred; p = 0.5 is a tie",
        stability="stable; overfits in a second epoch, and its origin is arbitrary without centring",
        complexity="one model with a head, one pass",
    ),
)

REWARD_MARGIN = Entry(
    name="reward-margin",
    title="Reward model with margins (Llama 2)",
    family="reward",
    paper="2307.09288",
    sources=OFFLINE["reward-margin"],
    data="preference",
    columns=Columns(
        "`prompt`, `chosen`, `rejected`, with `margin` (by how much the better reward should be larger, at "
        "least 0), or, where `margin_set` is given, with `strength` (`significantly better`, `better`, "
        "`slightly better` or `negligibly better`); or `prompt`, `responses`, `scores`, whose differences "
        "are the margins",
        ({**PAIR, "margin": 2.0, "strength": "better"},),
    ),
    reference="none",
    terms=(TermSpec(_BT, _CENTER, fixed={"use_margin": True, "per_prompt": False, "per_dimension": False}),),
    options=RewardMarginOptions,
    models=("reward",),
    best_for="pairs that say how much better the better answer is",
    watch="large margins split the scores in two groups; accuracy here is of the rewards without them",
    trains="reward",
    rows="charter.data.margins:with_margins",
    elsewhere=("margin_set",),
    paper_settings={
        "margin_set": "large",
        "learning_rate": 1e-5,
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 512,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-5,
        "weight_decay": 0.1,
    },
    traits=Traits(
        formula="-log sigmoid(r(x, y_w) - r(x, y_l) - m)",
        mechanism="clear preferences are pushed further apart than doubtful ones",
        stability="as reward; the scale of rewards follows that of the margins",
        complexity="as reward, and a margin for each pair",
    ),
)

REWARD_KWISE = Entry(
    name="reward-kwise",
    title="Reward model on all pairs of a prompt (InstructGPT)",
    family="reward",
    paper="2203.02155",
    sources=OFFLINE["reward-kwise"],
    data="preference",
    columns=Columns("`prompt`, `responses` with `ranks` or `scores`; or pairs", (RANKED,)),
    reference="none",
    terms=(TermSpec(_BT, _CENTER, fixed={"use_margin": False, "per_prompt": True, "per_dimension": False}),),
    options=RewardKwiseOptions,
    models=("reward",),
    best_for="several ranked or rated answers a prompt: each is computed once for all its pairs",
    watch="ties give no pair and so say nothing; rows of a step are prompts, not pairs",
    trains="reward",
    rows="charter.data.rankings:compared",
    paper_settings={
        "learning_rate": 9e-6,
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 64,
        "lr_scheduler_type": "cosine",
    },
    traits=Traits(
        formula="-1/C(K,2) * sum over pairs of log sigmoid(r_w - r_l), mean over prompts",
        mechanism="as reward; the pairs of a prompt, which are not independent, are one element",
        stability="does not overfit as pairs shuffled apart do: each answer is seen once an epoch",
        complexity="one model with a head, K forwards for K(K-1)/2 pairs",
    ),
)

REWARD_PLACKETT_LUCE = Entry(
    name="reward-plackett-luce",
    title="Reward model on rankings (Plackett-Luce)",
    family="reward",
    paper="Plackett 1975",
    data="preference",
    columns=Columns("`prompt`, `responses` with `ranks` or `scores`; or certain pairs", (RANKED,)),
    reference="none",
    terms=(TermSpec("charter.objectives.reward:PlackettLuce"),),
    options=RewardPlackettLuceOptions,
    models=("reward",),
    best_for="complete rankings: the likelihood of the whole order, not of its pairs apart",
    watch="a sum over positions: long rankings weigh more, and one far misplaced answer weighs most",
    trains="reward",
    rows="charter.data.rankings:ranked",
    traits=Traits(
        formula="-sum_k [r_k - logsumexp(r_k, ..., r_K)] from best to worst; tied answers: mean over orders",
        mechanism="each place is a choice among what is left; two answers give reward",
        stability="as reward; the top of a ranking decides most",
        complexity="one model with a head; rankings without contradictions",
    ),
)

REWARD_REGRESSION = Entry(
    name="reward-regression",
    title="Multi-dimensional reward model on ratings",
    family="reward",
    paper="2310.05344",
    sources=OFFLINE["reward-regression"],
    data="attributes",
    reference="none",
    terms=(TermSpec("charter.objectives.regression:AttributeRegression"),),
    options=RewardRegressionOptions,
    models=("reward",),
    best_for="ratings on named scales (helpful, harmless, honest; the risks of a taxonomy), some missing",
    watch="scales of different width weigh differently: rate on one scale, and weigh only normalised rewards",
    trains="reward",
    paper_settings={
        "learning_rate": 2e-6,
        "num_train_epochs": 2.0,
        "per_device_train_batch_size": 128,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 10,
    },
    traits=Traits(
        formula="mean of (r_z(x, y) - rating_z)^2 over the ratings there are",
        mechanism="one output for each dimension; a scalar is their weighted sum, normalised first",
        stability="stable; a rare dimension learns little, and weak signals are predicted as the mean",
        complexity="one model with a head of Z outputs, one pass",
    ),
)

REWARD_PMP = Entry(
    name="reward-pmp",
    title="Preference-model pretraining",
    family="reward",
    paper="2112.00861",
    sources=OFFLINE["reward-pmp"],
    data="preference",
    reference="none",
    terms=(
        TermSpec(
            _BT,
            fixed={
                "use_margin": False,
                "center_rewards_coefficient": None,
                "center_rewards_type": "squared",
                "per_prompt": False,
                "per_dimension": False,
            },
        ),
        TermSpec("charter.objectives.reference_free:ChosenNLL", weight="lm_coef"),
    ),
    options=RewardPMPOptions,
    models=("reward",),
    best_for="many cheap pairs (votes on forums, reverted edits) before few pairs labelled by people",
    watch="keep the template, and so the token the reward is read at, in training on people's pairs",
    trains="reward",
    rows="charter.data.rankings:compared",
    paper_settings={"num_train_epochs": 1.0, "max_length": 1024},
    traits=Traits(
        formula="log(1 + exp(r_bad - r_good)) + lm_coef * NLL of the good answer",
        mechanism="learns to compare before it learns whom to please, and stays a language model meanwhile",
        stability="stable; needs tied embeddings, which speak for the model under a reward head",
        complexity="one model with a head, one pass; then reward on its result",
    ),
)

ENTRIES: tuple[Entry, ...] = (
    REWARD,
    REWARD_MARGIN,
    REWARD_KWISE,
    REWARD_PLACKETT_LUCE,
    REWARD_REGRESSION,
    REWARD_PMP,
)
