"""Imitation of chosen own samples: best of n, rejection sampling, ReST, expert iteration, ReST-EM."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

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
    """Least reward that is imitated, one for each improve step: a round is sampled once (grow) and gone over
    once for each, on the samples that reach it. The next round begins with the first again."""

    steps_per_generation: int = Field(8, ge=1)
    """Optimizer steps of one improve step: what it imitates is split over them."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        """Thresholds rise."""
        if any(a >= b for a, b in pairwise(self.reward_thresholds)):
            raise ValueError("reward_thresholds must rise from one improve step to the next")
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
    watch="a threshold nobody passes trains nothing (skipped); the higher, the fewer samples a step",
    elsewhere=(*ROLLOUTS, "reward_thresholds"),
    rollouts=RolloutSpec("charter.training.credit.selected:above", tempered=False),
    traits=Traits(
        formula="-log pi(y) over r(y) >= threshold of the improve step",
        mechanism="grow a data set once, then imitate its better and better part",
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

ENTRIES: tuple[Entry, ...] = (BEST_OF_N, REJECTION_SAMPLING, REST, EXPERT_ITERATION, REST_EM)
