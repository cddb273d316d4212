"""DPO with something added: for length, for foreign answers, imitation, a reference that moves."""

from __future__ import annotations

from functools import partial
from typing import Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import MOVING, MovingReference
from charter.catalogue.preference import dpo_term
from charter.catalogue.preference_variants import PairOptions
from charter.catalogue.sources_offline import OFFLINE

_SIGMOID = dpo_term("sigmoid", "beta")
_entry = partial(
    Entry,
    family="preference",
    data="preference",
    reference="frozen",
    models=("policy", "reference (its cached log-probs)"),
)


class NormOptions(PairOptions):
    """Options of length-normalised DPO."""

    beta: float = Field(5.0, gt=0)
    """Scale of log-ratios per token; about 50 times what sums take (TRL: 0.1)."""


class LDOptions(PairOptions):
    """Options of length-desensitised DPO."""

    ld_alpha: float = Field(0.5, ge=0, lt=1)
    """Weight of the tokens by which one answer is longer than the other; 0 = ignored (TRL: none)."""


class RPOOptions(PairOptions):
    """Options of DPO with the better answers' NLL."""

    rpo_alpha: float = Field(1.0, gt=0)
    """Weight of the NLL, a mean over the better answers' tokens. Not in TRL any more, where sft in
    loss_type does it."""


class TROptions(MovingReference):
    """Options of trust-region DPO."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the moving reference."""

    sync_ref_model: bool = True
    """Always on here: without it the method is dpo (TRL: off)."""

    @model_validator(mode="after")
    def _moves(self) -> Self:
        """Without it the method is another."""
        if not self.sync_ref_model:
            raise ValueError("sync_ref_model: false makes it dpo: use that")
        return self


_NORM = _entry(
    name="dpo-norm",
    title="Length-normalised DPO (Tulu 3)",
    paper="2411.15124",
    terms=(dpo_term("sigmoid_norm", "beta"),),
    options=NormOptions,
    best_for="answers of very different lengths, on which summed log-probs favour length",
    watch="beta is per token: DPO's 0.1 does next to nothing here",
    paper_settings={
        "beta": 5.0,
        "learning_rate": 5e-7,
        "per_device_train_batch_size": 128,
        "num_train_epochs": 1.0,
        "warmup_steps": 0.1,
        "max_length": 2048,
    },
    traits=Traits(
        formula="-log sigmoid(beta * (D_w / |y_w| - D_l / |y_l|))",
        mechanism="DPO on the mean log-ratio per token",
        stability="as DPO; short answers weigh more per token",
        complexity="as DPO",
    ),
)
_LD = _entry(
    name="ld-dpo",
    title="Length-desensitised DPO",
    paper="2409.06411",
    sources=OFFLINE["ld-dpo"],
    terms=(dpo_term("sigmoid", "beta", "ld_alpha"),),
    options=LDOptions,
    best_for="better answers that are mostly longer, without rewarding the length itself",
    watch="ld_alpha near 0 ignores how long answers end",
    paper_settings={"ld_alpha": 0.5},
    traits=Traits(
        formula="DPO; tokens beyond the shorter answer's length weigh ld_alpha",
        mechanism="the part both lengths share decides",
        stability="as DPO; answers grow less",
        complexity="DPO and ld_alpha",
    ),
)
_WPO = _entry(
    name="wpo",
    title="Weighted preference optimisation",
    paper="2406.11827",
    terms=(dpo_term("sigmoid", "beta", use_weighting=True),),
    options=PairOptions,
    best_for="answers another model wrote: those this model could have written count most",
    watch="weights can be tiny on foreign text, and the gradient with them",
    paper_settings={
        "beta": 0.01,
        "learning_rate": 5e-7,
        "num_train_epochs": 1.0,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
    },
    traits=Traits(
        formula="w_w * w_l * DPO, w = exp(mean(log p - log sum p^2)) of the policy",
        mechanism="off-policy pairs are reweighted to look on-policy",
        stability="as DPO, slower on foreign data",
        complexity="DPO and one more number a token; no setting",
    ),
)
_RPO = _entry(
    name="rpo",
    title="DPO with the NLL of the better answers",
    paper="2404.19733",
    terms=(
        _SIGMOID,
        TermSpec("charter.objectives.reference_free:ChosenNLL", weight="rpo_alpha"),
    ),
    options=RPOOptions,
    best_for="better answers worth imitating: reasoning chains, formats",
    watch="it copies the better answers' faults too",
    paper_settings={"beta": 0.1, "rpo_alpha": 1.0},
    traits=Traits(
        formula="DPO - rpo_alpha * mean over tokens of log pi(y_w|x)",
        mechanism="the NLL keeps the likelihood of better answers from falling",
        stability="steadier than DPO: no likelihood displacement of the better answers",
        complexity="DPO and a weight",
    ),
)
_TR = _entry(
    name="tr-dpo",
    title="Trust-region DPO: the reference follows the policy",
    paper="2404.09656",
    reference="moving",
    models=("policy", "reference (a copy of the trained weights)"),
    terms=(_SIGMOID,),
    options=TROptions,
    best_for="long runs in which a fixed reference holds the policy back",
    watch=(
        "distance to the first model is not limited: set max_kl; ref_model_sync_steps below max_steps; "
        "with use_peft and a mixup below 1 the adapter's factors are mixed, not their product"
    ),
    paper_settings={"ref_model_mixup_alpha": 0.6, "ref_model_sync_steps": 512},
    elsewhere=MOVING,
    traits=Traits(
        formula="DPO; every n steps ref <- alpha * policy + (1 - alpha) * ref",
        mechanism="each update starts DPO anew from a nearer reference",
        stability="the loss jumps back towards log 2 at each update; drifts further than DPO",
        complexity="DPO, a second set of trained weights, two settings",
    ),
)

ENTRIES: tuple[Entry, ...] = (_NORM, _LD, _WPO, _RPO, _TR)
