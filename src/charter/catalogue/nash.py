"""Policies that no other beats: policy gradients on the chance to beat an opponent (Nash-MD, Nash-EMA)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.online_preference import MODELS
from charter.catalogue.rollouts import ROLLOUTS, RolloutOptions, RolloutSpec, check_on_policy
from charter.catalogue.sources_online import ONLINE


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

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        """The gradient is of fresh completions."""
        check_on_policy(self)
        return self

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
    sources=ONLINE["nash-md"],
    data="prompts",
    reference="frozen",
    terms=(_NASH_TERM,),
    options=NashMDOptions,
    models=MODELS,
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

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        """The gradient is of fresh completions."""
        check_on_policy(self)
        return self

    @property
    def samples_another(self) -> bool:
        """The moving average, which is the one model that follows."""
        return True


NASH_EMA = Entry(
    name="nash-ema",
    title="Nash-EMA: policy gradient against the average of past policies",
    family="online",
    paper="2312.00886",
    sources=ONLINE["nash-ema"],
    data="prompts",
    reference="frozen",
    terms=(_NASH_TERM,),
    options=NashEMAOptions,
    models=(*MODELS, "moving average of the trained weights"),
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

ENTRIES: tuple[Entry, ...] = (NASH_MD, NASH_EMA)
