"""Preference methods without a reference: CPO, SimPO, AlphaPO, ORPO, SLiC-HF."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.columns import PAIR, Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.sources_offline import OFFLINE

_LOSS = "charter.objectives.reference_free:CPO"
_POLICY = ("policy",)


class CPOOptions(TrainOptions):
    """Options of contrastive preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.1, gt=0)
    """Scale of the difference of log-probs; larger saturates sooner."""

    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """How often pairs are assumed to be the wrong way round; for sigmoid, simpo and alphapo."""

    loss_type: Literal["sigmoid", "hinge", "ipo", "simpo", "alphapo"] = "sigmoid"
    """Loss on the difference; ipo, simpo and alphapo take log-probs per token, as in TRL."""

    cpo_alpha: float = Field(1.0, ge=0)
    """Weight of the chosen answers' NLL per token; 0 and nothing else with alphapo."""

    simpo_gamma: float = Field(0.5, ge=0)
    """Target margin of simpo and alphapo, outside beta."""

    alpha: float = Field(0.0)
    """Shape of the reward (1 - p^-alpha) / alpha; 0 is the log-prob. Can overflow on summed log-probs
    (sigmoid, hinge)."""

    @model_validator(mode="after")
    def _loss_type(self) -> Self:
        """Options of one loss do nothing in another; alphapo is simpo without the NLL, as in TRL."""
        if self.loss_type == "alphapo" and "cpo_alpha" not in self.model_fields_set:
            object.__setattr__(self, "cpo_alpha", 0.0)  # frozen, and not yet in anyone's hands
        if self.loss_type not in ("simpo", "alphapo") and "simpo_gamma" in self.model_fields_set:
            raise ValueError(f"simpo_gamma has no effect with loss_type: {self.loss_type}")
        if self.loss_type in ("hinge", "ipo") and self.label_smoothing:
            raise ValueError(f"label_smoothing has no effect with loss_type: {self.loss_type}")
        if self.loss_type == "alphapo" and self.cpo_alpha:
            raise ValueError("cpo_alpha is 0 with loss_type: alphapo; use simpo with alpha and cpo_alpha")
        return self


class SimPOOptions(TrainOptions):
    """Options of simple preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW; the paper finds 3e-7 to 1e-6, and larger ones break coherence."""

    beta: float = Field(2.0, gt=0)
    """Scale of the difference of log-probs per token; 2 to 10 (TRL's 0.1 is meant for sums)."""

    simpo_gamma: float = Field(1.0, ge=0)
    """Target margin, outside beta; 0.3 to 0.5 times beta is a good start."""

    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """How often pairs are assumed to be the wrong way round."""


class AlphaPOOptions(SimPOOptions):
    """Options of AlphaPO."""

    beta: float = Field(2.5, gt=0)
    """Scale of the difference of rewards."""

    simpo_gamma: float = Field(0.1, ge=0)
    """Target margin, outside beta."""

    alpha: float = Field(0.25)
    """Shape of the reward (1 - p^-alpha) / alpha of the probability per token; 0 would be simpo."""

    @model_validator(mode="after")
    def _shaped(self) -> Self:
        """At 0 the method is another one."""
        if self.alpha == 0:
            raise ValueError("alpha: 0 has no effect; that is simpo")
        return self


class ORPOOptions(TrainOptions):
    """Options of odds-ratio preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW; the paper's 5e-6 to 8e-6 suits full fine-tuning of a base model."""

    beta: float = Field(0.1, gt=0)
    """Weight of the odds-ratio term (the paper's lambda)."""

    completion_only_loss: bool = True
    """NLL over the answer, as the paper writes; off = over the prompt too, as its code and TRL do."""


class SLiCOptions(TrainOptions):
    """Options of sequence likelihood calibration."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    delta: float = Field(1.0, gt=0)
    """Margin in nats per sequence beyond which a pair costs nothing."""

    nll_coef: float = Field(0.1, ge=0)
    """Weight of the NLL of the targets (the paper's lambda)."""

    nll_target: Literal["chosen", "target"] = "chosen"
    """What the NLL imitates: the chosen answer, or the answer in the column ``target`` (the paper's
    supervised reference)."""

    @model_validator(mode="after")
    def _imitates(self) -> Self:
        """Without the NLL its target does nothing."""
        if not self.nll_coef and "nll_target" in self.model_fields_set:
            raise ValueError("nll_target has no effect with nll_coef: 0")
        return self


CPO = Entry(
    name="cpo",
    title="Contrastive preference optimisation",
    family="preference",
    paper="2401.08417",
    data="preference",
    reference="none",
    terms=(
        TermSpec(_LOSS, ("beta", "loss_type", "label_smoothing", "simpo_gamma", "alpha")),
        TermSpec("charter.objectives.reference_free:ChosenNLL", weight="cpo_alpha"),
    ),
    options=CPOOptions,
    models=_POLICY,
    best_for="pairs whose better answer is worth imitating, with memory for one model only",
    watch="summed log-probs favour short answers: watch length/chosen against length/rejected",
    paper_settings={
        "beta": 0.1,
        "cpo_alpha": 1.0,
        "learning_rate": 1e-4,
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 128,
        "max_length": 512,
        "warmup_steps": 0.01,
    },
    traits=Traits(
        formula="-log sigmoid(beta * (log pi(y_w|x) - log pi(y_l|x))) "
        "- cpo_alpha * mean over tokens of log pi(y_w|x)",
        mechanism="raises better answers over worse ones while imitating the better ones",
        stability="the NLL holds the policy near the better answers; without it nothing does",
        complexity="one model, one forward; beta and the weight of the NLL",
    ),
)

SIMPO = Entry(
    name="simpo",
    title="Simple preference optimisation",
    family="preference",
    paper="2405.14734",
    sources=OFFLINE["simpo"],
    data="preference",
    reference="none",
    terms=(
        TermSpec(
            _LOSS, ("beta", "label_smoothing", "simpo_gamma"), fixed={"loss_type": "simpo", "alpha": 0.0}
        ),
    ),
    options=SimPOOptions,
    models=_POLICY,
    best_for="on-policy pairs from a good instruction model, where answers must not grow long",
    watch="no reference holds it: a high learning rate or many epochs break fluency",
    paper_settings={
        "beta": 2.0,
        "simpo_gamma": 1.0,
        "learning_rate": 6e-7,
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 128,
        "max_length": 2048,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
    },
    traits=Traits(
        formula="-log sigmoid(beta * (log pi(y_w|x)/|y_w| - log pi(y_l|x)/|y_l|) - gamma)",
        mechanism="raises the mean log-prob per token of better answers over worse ones by a margin",
        stability="sensitive to the learning rate; likelihood of both sides can fall",
        complexity="one model, one forward; beta and gamma, which want tuning",
    ),
)

ALPHAPO = Entry(
    name="alphapo",
    title="SimPO with a shaped reward",
    family="preference",
    paper="2501.03884",
    data="preference",
    reference="none",
    terms=(
        TermSpec(_LOSS, ("beta", "label_smoothing", "simpo_gamma", "alpha"), fixed={"loss_type": "alphapo"}),
    ),
    options=AlphaPOOptions,
    models=_POLICY,
    best_for="where SimPO lowers the likelihood of the better answers too far",
    watch="a third setting beside beta and gamma; a large alpha makes unlikely answers dominate",
    paper_settings={"alpha": 0.25, "beta": 2.5, "simpo_gamma": 0.1, "learning_rate": 7e-7},
    traits=Traits(
        formula="-log sigmoid(beta * (r_w - r_l) - gamma), r = (1 - p^-alpha) / alpha, p the mean per token",
        mechanism="as SimPO, with a reward that bends away from the logarithm",
        stability="alpha > 0 slows likelihood displacement; the reward has no lower bound",
        complexity="one model, one forward; three settings",
    ),
)

ORPO = Entry(
    name="orpo",
    title="Odds-ratio preference optimisation",
    family="preference",
    paper="2403.07691",
    sources=OFFLINE["orpo"],
    data="preference",
    reference="none",
    terms=(
        TermSpec("charter.objectives.reference_free:ORPONLL", ("completion_only_loss",)),
        TermSpec("charter.objectives.reference_free:OddsRatio", ("beta",)),
    ),
    options=ORPOOptions,
    models=_POLICY,
    best_for="a base model and pairs with good chosen answers: supervised and preference training at once",
    watch="mostly supervised training: the preference term is small beside the NLL",
    arrange="charter.data.whole_text:with_whole_text",
    paper_settings={
        "beta": 0.1,
        "learning_rate": 5e-6,
        "num_train_epochs": 5.0,
        "warmup_steps": 200,
        "per_device_train_batch_size": 8,
    },
    traits=Traits(
        formula="-mean over tokens of log pi(y_w|x) - beta * log sigmoid(log odds(y_w) - log odds(y_l)), "
        "odds = p/(1 - p), p the mean per token",
        mechanism="imitates better answers and lowers the odds of worse ones",
        stability="as stable as supervised training; needs a larger learning rate than DPO",
        complexity="one model, one stage, one weight",
    ),
)

SLIC = Entry(
    name="slic-hf",
    title="Sequence likelihood calibration with human feedback",
    family="preference",
    paper="2305.10425",
    sources=OFFLINE["slic-hf"],
    data="preference",
    columns=Columns(
        "`prompt`, `chosen`, `rejected`, with `target` (the answer to imitate) where `nll_target` is "
        "`target`; or `prompt`, `responses` with `ranks` or `scores`",
        ({**PAIR, "target": "It is Paris."},),
    ),
    reference="none",
    terms=(
        TermSpec("charter.objectives.reference_free:SLiC", ("delta",)),
        TermSpec("charter.objectives.reference_free:SLiCNLL", ("nll_target",), weight="nll_coef"),
    ),
    options=SLiCOptions,
    models=_POLICY,
    best_for="a supervised model and its own ranked answers, with the supervised answers at hand",
    watch="pairs that are already apart teach nothing: rewards/margins well above delta means it is done",
    rows="charter.data.targets:with_target",
    paper_settings={"delta": 1.0, "per_device_train_batch_size": 32},
    traits=Traits(
        formula="max(0, delta - log pi(y_w|x) + log pi(y_l|x)) - nll_coef * log pi(y_ref|x)",
        mechanism="separates the two sides by a margin, then stops; the NLL keeps it near its start",
        stability="bounded: a pair beyond the margin has no gradient; sums favour short answers",
        complexity="one model; the margin and the weight of the NLL",
    ),
)

ENTRIES: tuple[Entry, ...] = (CPO, SIMPO, ALPHAPO, ORPO, SLIC)
