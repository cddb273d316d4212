"""Preference learning on fresh samples against a frozen reference: online DPO and IPO, IPO-MD, XPO."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.rollouts import ROLLOUTS, RolloutOptions, RolloutSpec
from charter.catalogue.sources_online import ONLINE

MODELS = ("policy", "reference (under LoRA the policy without its adapter)")
PAIRS = "charter.training.credit.pairs:best_against_worst"


class OnlinePairOptions(RolloutOptions):
    """Options of methods that compare completions of the same prompt."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt; the best is held against the worst."""

    preference_temperature: float | None = Field(None, gt=0)
    """A pair holds with the probability sigmoid(reward difference / this); None = it is certain.
    Not in TRL."""


ELSEWHERE = (*ROLLOUTS, "preference_temperature")


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
    models=MODELS,
    best_for="a judge or reward model at hand, and DPO's simplicity",
    watch="pairs of equals are left out (pairs/left_out): the better the model, the fewer remain",
    elsewhere=ELSEWHERE,
    paper_settings={"beta": 0.1, "temperature": 0.9, "max_completion_length": 64},
    rollouts=RolloutSpec(PAIRS),
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
    sources=ONLINE["online-ipo"],
    data="prompts",
    reference="frozen",
    terms=(_IPO_TERM,),
    options=OnlineIPOOptions,
    models=MODELS,
    best_for="judges that say how sure they are",
    watch="sums over tokens: beta depends on the length of answers",
    elsewhere=ELSEWHERE,
    paper_settings={"beta": 1.0},
    rollouts=RolloutSpec(PAIRS),
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
    sources=ONLINE["ipo-md"],
    data="prompts",
    reference="frozen",
    terms=(_IPO_TERM,),
    options=IPOMDOptions,
    models=MODELS,
    best_for="online IPO that should explore near the reference",
    watch="decodes two models",
    elsewhere=(*ELSEWHERE, "mixture_coef"),
    paper_settings={"beta": 1.0, "mixture_coef": 0.125},
    rollouts=RolloutSpec(PAIRS, sampled_by=("mixture",)),
    traits=Traits(
        formula="online IPO, y ~ policy^(1 - c) reference^c",
        mechanism="the fixed point of Nash-MD by regression",
        stability="as online IPO, off-policy by the mixture",
        complexity="online IPO and a mixture",
    ),
)


class XPOOptions(OnlinePairOptions):
    """Options of exploratory preference optimisation; TRL's XPOConfig where it has them."""

    num_generations: int = Field(2, ge=2)
    """Completions of each prompt: the last is the reference's, and each other is held against it."""

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
    sources=ONLINE["xpo"],
    data="prompts",
    reference="frozen",
    terms=(TermSpec("charter.objectives.xpo:XPO", ("beta", "alpha", "loss_type")),),
    options=XPOOptions,
    models=MODELS,
    best_for="finding answers the reference would not give",
    watch="the bonus pushes down the reference's samples: alpha must be tiny",
    elsewhere=ELSEWHERE,
    rollouts=RolloutSpec(
        "charter.training.credit.pairs:against_reference", sampled_by=("policy", "reference")
    ),
    traits=Traits(
        formula="DPO on (policy's, reference's) sample + alpha log pi(reference's sample)",
        mechanism="online DPO that is paid for leaving the beaten track",
        stability="with a large alpha it unlearns how to answer",
        complexity="online DPO and a bonus",
    ),
)

ENTRIES: tuple[Entry, ...] = (ONLINE_DPO, ONLINE_IPO, IPO_MD, XPO)
