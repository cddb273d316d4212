"""Pairs of chosen own samples: RSO, RS-DPO, SLiC-HF sample-rank, CPO triplets."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.columns import Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.rollouts import ROLLOUTS, FirstModelSamples, RolloutOptions, RolloutSpec
from charter.catalogue.sources_online import ONLINE


class OwnPairOptions(RolloutOptions):
    """Options of methods that make pairs of own samples in large rounds."""

    steps_per_generation: int = Field(8, ge=1)
    """Optimizer steps the pairs of a round are split over."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint."""


class RSOOptions(OwnPairOptions, FirstModelSamples):
    """Options of statistical rejection sampling optimisation."""

    per_device_train_batch_size: int = Field(64, ge=1)
    """Candidates per optimizer step, before gradient_accumulation_steps multiplies it."""

    num_generations: int = Field(64, ge=4)
    """Candidates of each prompt."""

    num_accepted: int = Field(8, ge=2)
    """Candidates accepted as if the optimal policy had sampled them."""

    rso_beta: float = Field(0.5, gt=0)
    """Temperature of the acceptance: small = the top ones, large = any."""

    rso_ranking: Literal["first_round", "tournament"] = "first_round"
    """Disjoint pairs of the accepted, or a whole tournament."""

    beta: float = Field(0.05, gt=0)
    """The paper's gamma: scale of the log-ratio in the loss."""

    loss_type: Literal["hinge", "sigmoid"] = "hinge"
    """Loss of a pair."""


RSO = Entry(
    name="rso",
    title="Statistical rejection sampling optimisation",
    family="own-samples",
    paper="2309.06657",
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.preference:DPO", ("beta", "loss_type")),),
    options=RSOOptions,
    models=("policy", "reference (under LoRA the policy without its adapter)"),
    best_for="pairs as the optimal policy would sample them",
    watch="many candidates for few pairs; sampled_by: policy tilts from the second round on what is tilted",
    elsewhere=(*ROLLOUTS, "sampled_by", "num_accepted", "rso_beta", "rso_ranking"),
    paper_settings={
        "sampled_by": "reference",
        "num_generations": 64,
        "num_accepted": 8,
        "rso_beta": 0.5,
        "beta": 0.05,
    },
    rollouts=RolloutSpec("charter.training.credit.pairs:rejection_sampled", sampled_by=("reference",)),
    traits=Traits(
        formula="hinge or sigmoid loss on pairs of samples accepted with exp((r - max r) / rso_beta)",
        mechanism="DPO's data drawn from where DPO is going",
        stability="as DPO: the candidates are the first model's, chosen as the best policy would write",
        complexity="candidates, acceptance, ranking",
    ),
)


class RSDPOOptions(OwnPairOptions, FirstModelSamples):
    """Options of DPO on rejection-sampled pairs."""

    num_generations: int = Field(16, ge=2)
    """Completions of each prompt."""

    tau: float = Field(1.0, gt=0)
    """Temperature of the reward difference."""

    eta: float = Field(0.85, ge=0.5, lt=1)
    """Pairs are kept where sigmoid(difference / tau) exceeds this."""


RS_DPO = Entry(
    name="rs-dpo",
    title="DPO on every pair of own samples whose rewards differ enough",
    family="own-samples",
    paper="2402.10038",
    sources=ONLINE["rs-dpo"],
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.preference:DPO", ("beta",)),),
    options=RSDPOOptions,
    models=RSO.models,
    best_for="many contrasting pairs from few prompts",
    watch="prompts with a wide spread of rewards give most pairs",
    elsewhere=(*ROLLOUTS, "sampled_by", "tau", "eta"),
    paper_settings={"sampled_by": "reference", "num_generations": 16, "eta": 0.85, "beta": 0.1},
    rollouts=RolloutSpec("charter.training.credit.pairs:above_threshold", sampled_by=("reference",)),
    traits=Traits(
        formula="DPO on pairs with sigmoid((r_w - r_l) / tau) > eta",
        mechanism="DPO on clear pairs only",
        stability="as DPO on samples of the first model",
        complexity="a threshold",
    ),
)


class SLiCRankOptions(FirstModelSamples):
    """Options of SLiC-HF sample-rank."""

    steps_per_generation: int = Field(8, ge=1)
    """Optimizer steps the pairs of a round are split over."""

    delta: float = Field(1.0, gt=0)
    """Margin of log-probs that a pair should have."""

    nll_coef: float = Field(1.0, gt=0)
    """Weight of the likelihood of the better samples."""

    @property
    def uses_reference(self) -> bool:
        """The margin is of the policy's own log-probs."""
        return False


SLIC_RANK = Entry(
    name="slic-rank",
    title="SLiC-HF sample-rank: a tournament of own samples",
    family="own-samples",
    paper="2305.10425",
    sources=ONLINE["slic-rank"],
    data="prompts",
    reference="none",
    terms=(
        TermSpec("charter.objectives.reference_free:SLiC", ("delta",)),
        TermSpec("charter.objectives.reference_free:SLiCNLL", weight="nll_coef"),
    ),
    options=SLiCRankOptions,
    models=("policy", "the first model, which samples (under LoRA the policy without its adapter)"),
    best_for="a ranker at hand, and no reference in the loss",
    watch="the margin is of whole answers: delta depends on their length",
    elsewhere=(*ROLLOUTS, "sampled_by"),
    paper_settings={
        "sampled_by": "reference",
        "delta": 1.0,
        "num_generations": 8,
        "temperature": 0.7,
        "top_k": 40,
    },
    rollouts=RolloutSpec("charter.training.credit.pairs:ranked", sampled_by=("reference",), tempered=False),
    traits=Traits(
        formula="max(0, delta - log pi(y_w) + log pi(y_l)) - nll_coef log pi(y_w), winners of a tournament",
        mechanism="a margin between own samples, better and worse",
        stability="the likelihood term holds it where it was",
        complexity="a ranker, delta, nll_coef",
    ),
)


class CPOTripletOptions(OwnPairOptions):
    """Options of contrastive preference optimisation on answers of several systems."""

    num_generations: int = Field(2, ge=1)
    """Completions of each prompt: the last is the first model's, the others the policy's; with systems all
    are the policy's."""

    systems: str | None = None
    """Column of the prompts that holds answers of other systems by their names, such as a person's and a
    stronger model's; they stand in place of the first model's. Not in TRL."""

    cpo_alpha: float = Field(1.0, gt=0)
    """Weight of the likelihood of the better answer."""

    @property
    def uses_reference(self) -> bool:
        """CPO has none; the first model only writes answers."""
        return False

    @property
    def samples_another(self) -> bool:
        """The first model, unless other systems have answered."""
        return self.systems is None

    @model_validator(mode="after")
    def _two_systems(self) -> Self:
        """One system alone gives no pair."""
        if self.systems is None and self.num_generations < 2:
            raise ValueError("num_generations is at least 2 without systems: one is the first model's")
        if self.systems is not None and self.environment is not None:
            raise ValueError("systems answer in one turn: there is none in an environment")
        return self


CPO_TRIPLETS = Entry(
    name="cpo-triplets",
    title="CPO on answers of several systems: the best against the worst of another",
    family="own-samples",
    paper="2401.08417",
    data="prompts",
    columns=Columns(
        "`prompt`, and where the option `systems` names a column, that column (`{system: answer}`: what "
        "other systems answered)",
        (
            {
                "prompt": "What is the capital of France?",
                "systems": {"person": "Paris.", "older model": "I think it is Lyon."},
            },
        ),
    ),
    reference="none",
    terms=(
        TermSpec("charter.objectives.reference_free:CPO", ("beta",)),
        TermSpec("charter.objectives.reference_free:ChosenNLL", weight="cpo_alpha"),
    ),
    options=CPOTripletOptions,
    models=("policy", "without systems the first model (under LoRA the policy without its adapter)"),
    best_for="moving past adequate answers, a person's too, with a scorer of quality",
    watch="where one system always wins, this is imitation with a margin",
    elsewhere=(*ROLLOUTS, "systems"),
    paper_settings={"beta": 0.1, "cpo_alpha": 1.0},
    rollouts=RolloutSpec(
        "charter.training.credit.pairs:best_of_systems", sampled_by=("policy", "reference"), tempered=False
    ),
    traits=Traits(
        formula="-log sigmoid(beta (log pi(y_w) - log pi(y_l))) - cpo_alpha log pi(y_w)",
        mechanism="refuses answers that are adequate but not the best of the systems",
        stability="as CPO",
        complexity="systems, a scorer",
    ),
)

ENTRIES: tuple[Entry, ...] = (RSO, RS_DPO, SLIC_RANK, CPO_TRIPLETS)
