"""Learning from chosen own samples: best of n, rejection sampling, ReST, RSO, RS-DPO, SLiC, CPO."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.rollouts import ROLLOUTS, RolloutOptions, RolloutSpec

_NLL = TermSpec("charter.objectives.supervised:NLL")
_MODELS = ("policy",)


class ImitationOptions(RolloutOptions):
    """Options of methods that imitate chosen samples."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW. LoRA wants 10 to 100 times what full fine-tuning wants."""

    mask_truncated_completions: bool = True
    """Do not imitate completions that were cut by a limit."""

    steps_per_generation: int = Field(8, ge=1)
    """Optimizer steps the chosen completions of a round are split over."""

    @property
    def uses_reference(self) -> bool:
        """Likelihood alone."""
        return False


class BestOfNOptions(ImitationOptions):
    """Options of imitating the best of n."""

    num_generations: int = Field(16, ge=2)
    """Completions of each prompt, of which the best is imitated."""


BEST_OF_N = Entry(
    name="best-of-n",
    title="Imitate the best of n samples (rejection sampling fine-tuning)",
    family="own-samples",
    paper="2304.06767; 2307.09288",
    data="prompts",
    reference="none",
    terms=(_NLL,),
    options=BestOfNOptions,
    models=_MODELS,
    best_for="any reward, and nothing but a supervised loss",
    watch="a reward that can be gamed is gamed by the best of n first",
    elsewhere=ROLLOUTS,
    rollouts=RolloutSpec("charter.training.credit.selected:best", tempered=False),
    traits=Traits(
        formula="-log pi(best of n)",
        mechanism="distils what sampling n times and choosing would give",
        stability="as supervised fine-tuning; diversity falls with every round",
        complexity="n",
    ),
)


class TopKOptions(ImitationOptions):
    """Options of imitating the best samples of a round."""

    top_k_samples: int = Field(32, ge=1)
    """Completions of a round that are imitated, whatever their prompt."""


REJECTION_SAMPLING = Entry(
    name="rejection-sampling",
    title="Imitate the top k of all samples of a round",
    family="own-samples",
    paper="2304.06767",
    data="prompts",
    reference="none",
    terms=(_NLL,),
    options=TopKOptions,
    models=_MODELS,
    best_for="rewards that mean the same for every prompt",
    watch="easy prompts fill the top k",
    elsewhere=(*ROLLOUTS, "top_k_samples"),
    rollouts=RolloutSpec("charter.training.credit.selected:top", tempered=False),
    traits=Traits(
        formula="-log pi(y) over the k highest rewards of N",
        mechanism="likelihood of what was rewarded most",
        stability="as supervised fine-tuning",
        complexity="k and N",
    ),
)


class ReSTOptions(ImitationOptions):
    """Options of reinforced self-training."""

    reward_thresholds: tuple[float, ...] = Field(min_length=1)
    """Least reward that is imitated, a round after the other; the last stays."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        """Thresholds rise."""
        if any(a >= b for a, b in pairwise(self.reward_thresholds)):
            raise ValueError("reward_thresholds must rise from round to round")
        return self


REST = Entry(
    name="rest",
    title="Reinforced self-training: imitate what passes a rising threshold",
    family="own-samples",
    paper="2308.08998",
    data="prompts",
    reference="none",
    terms=(_NLL,),
    options=ReSTOptions,
    models=_MODELS,
    best_for="rewards whose scale is known",
    watch="a threshold nobody passes trains nothing (skipped)",
    elsewhere=(*ROLLOUTS, "reward_thresholds"),
    rollouts=RolloutSpec("charter.training.credit.selected:above", tempered=False),
    traits=Traits(
        formula="-log pi(y) over r(y) >= threshold of the round",
        mechanism="grow a data set, then imitate its better and better part",
        stability="as supervised fine-tuning; sampling is rare",
        complexity="thresholds",
    ),
)


class ExpertIterationOptions(ImitationOptions):
    """Options of expert iteration."""

    reward_thresholds: tuple[float, ...] = Field((1.0,), min_length=1, max_length=1)
    """Least reward of an answer that is imitated."""


EXPERT_ITERATION = Entry(
    name="expert-iteration",
    title="Expert iteration: imitate every right answer, round after round",
    family="own-samples",
    paper="1705.08439; 2403.04642",
    data="prompts",
    reference="none",
    terms=(_NLL,),
    options=ExpertIterationOptions,
    models=_MODELS,
    best_for="answers that are right or wrong",
    watch="easy prompts give most of the data (rest-em caps them)",
    elsewhere=(*ROLLOUTS, "reward_thresholds"),
    rollouts=RolloutSpec("charter.training.credit.selected:above", tempered=False),
    traits=Traits(
        formula="-log pi(y) over the right answers of the round",
        mechanism="search by sampling, then imitate what was found",
        stability="as supervised fine-tuning",
        complexity="samples a prompt",
    ),
)


class ReSTEMOptions(ImitationOptions):
    """Options of ReST-EM."""

    num_generations: int = Field(32, ge=2)
    """Completions of each prompt."""

    reward_threshold: float = 1.0
    """Least reward of a right answer."""

    max_per_prompt: int = Field(10, ge=1)
    """Right answers of one prompt that are imitated."""


REST_EM = Entry(
    name="rest-em",
    title="ReST-EM: right answers, capped a prompt, imitated from the first weights each round",
    family="own-samples",
    paper="2312.06585",
    data="prompts",
    reference="none",
    terms=(_NLL,),
    options=ReSTEMOptions,
    models=("policy", "its first trained weights"),
    best_for="several rounds without drifting from the first model",
    watch="each round starts again: it must have enough steps to get there",
    elsewhere=(*ROLLOUTS, "reward_threshold", "max_per_prompt"),
    paper_settings={"num_generations": 32, "max_per_prompt": 10, "top_k": 40},
    rollouts=RolloutSpec("charter.training.credit.selected:right", tempered=False, restarts=True),
    traits=Traits(
        formula="-log pi(y) over at most max_per_prompt right answers; weights start afresh each round",
        mechanism="expectation maximisation: sample with the last policy, fit the first",
        stability="over-fits less than training on",
        complexity="cap, samples, rounds",
    ),
)


class OwnPairOptions(RolloutOptions):
    """Options of methods that make pairs of own samples in large rounds."""

    steps_per_generation: int = Field(8, ge=1)
    """Optimizer steps the pairs of a round are split over."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint."""


class RSOOptions(OwnPairOptions):
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
    watch="many candidates for few pairs",
    elsewhere=(*ROLLOUTS, "num_accepted", "rso_beta", "rso_ranking"),
    paper_settings={"num_generations": 64, "num_accepted": 8, "rso_beta": 0.5, "beta": 0.05},
    rollouts=RolloutSpec("charter.training.credit.pairs:rejection_sampled"),
    traits=Traits(
        formula="hinge or sigmoid loss on pairs of samples accepted with exp((r - max r) / rso_beta)",
        mechanism="DPO's data drawn from where DPO is going",
        stability="as DPO on fresh data",
        complexity="candidates, acceptance, ranking",
    ),
)


class RSDPOOptions(OwnPairOptions):
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
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.preference:DPO", ("beta",)),),
    options=RSDPOOptions,
    models=RSO.models,
    best_for="many contrasting pairs from few prompts",
    watch="prompts with a wide spread of rewards give most pairs",
    elsewhere=(*ROLLOUTS, "tau", "eta"),
    paper_settings={"num_generations": 16, "eta": 0.85, "beta": 0.1},
    rollouts=RolloutSpec("charter.training.credit.pairs:above_threshold"),
    traits=Traits(
        formula="DPO on pairs with sigmoid((r_w - r_l) / tau) > eta",
        mechanism="DPO on clear pairs only",
        stability="as DPO on fresh data",
        complexity="a threshold",
    ),
)


class SLiCRankOptions(RolloutOptions):
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
    data="prompts",
    reference="none",
    terms=(
        TermSpec("charter.objectives.reference_free:SLiC", ("delta",)),
        TermSpec("charter.objectives.reference_free:SLiCNLL", weight="nll_coef"),
    ),
    options=SLiCRankOptions,
    models=("policy",),
    best_for="a ranker at hand and memory for one model",
    watch="the margin is of whole answers: delta depends on their length",
    elsewhere=ROLLOUTS,
    paper_settings={"delta": 1.0, "num_generations": 8},
    rollouts=RolloutSpec("charter.training.credit.pairs:ranked", tempered=False),
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

ENTRIES: tuple[Entry, ...] = (
    BEST_OF_N,
    REJECTION_SAMPLING,
    REST,
    EXPERT_ITERATION,
    REST_EM,
    RSO,
    RS_DPO,
    SLIC_RANK,
    CPO_TRIPLETS,
)
