"""Direct preference optimisation, with every loss and variant TRL's trainer has."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import MOVING, MovingReference
from charter.catalogue.sources_offline import OFFLINE
from charter.errors import did_you_mean

LossType = Literal[
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
    "cdpo",
    "sppo",
]

OF_DIFFERENCES = frozenset(
    {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "cdpo"}
)
"""Losses of the difference of both scores, in which an f-divergence's unknown constant cancels."""

SMOOTHED = frozenset({"cdpo", "robust", "exo_pair", "aot", "aot_unpaired"})
NEED_SMOOTHING = {"cdpo": "0.1", "robust": "0.1", "exo_pair": "1.0e-3"}
"""Losses that take label_smoothing, and those that are pointless or undefined without it."""


class DPOOptions(MovingReference):
    """Options of direct preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW. With use_peft, 5e-4 moves a 135M model in 30 steps and 2e-3 wrecks it."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""

    loss_type: LossType | tuple[LossType, ...] = "sigmoid"
    """The loss of a pair, or several, which are added up. Beside TRL's names: cdpo, and sppo with soft
    win rates."""

    loss_weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Weight of each loss in loss_type; None = 1 each."""

    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of pairs taken to be the wrong way round (cdpo, robust, aot), or exo_pair's smoothing of
    the target."""

    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = "reverse_kl"
    """Divergence from the reference that is constrained."""

    f_alpha_divergence_coef: float = Field(0.5, gt=0, lt=1)
    """Alpha of alpha_divergence: near 0 it is forward KL, near 1 reverse KL."""

    ld_alpha: float | None = Field(None, ge=0, lt=1)
    """Weight of the tokens by which one answer is longer than the other (LD-DPO); None = 1, as all others."""

    use_weighting: bool = False
    """Weigh each pair by how likely the policy would have written both answers (WPO)."""

    rpo_alpha: float | None = Field(None, gt=0)
    """Weight of the better answers' NLL, a mean over tokens, that is added. Not in TRL any more, where
    sft in loss_type does it."""

    discopop_tau: float = Field(0.05, gt=0)
    """Temperature of discopop's modulation."""

    @field_validator("loss_type", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        """One message for a misspelt loss, whether it stands alone or in a list."""
        names = tuple(given) if isinstance(given, list | tuple) else (given,)
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"wanted the name of a loss or a list of names, got {given!r}")
        for name in names:
            if name not in get_args(LossType):
                raise ValueError(f"no loss {name!r}; {did_you_mean(name, get_args(LossType))}")
        return given if isinstance(given, str) else names

    @property
    def loss_types(self) -> tuple[str, ...]:
        """The losses as a list, also where one was written without it."""
        return (self.loss_type,) if isinstance(self.loss_type, str) else self.loss_type

    @model_validator(mode="after")
    def _losses(self) -> Self:
        """Options of losses that were not chosen are errors."""
        types, given = set(self.loss_types), self.model_fields_set
        if len(types) < len(self.loss_types):
            raise ValueError("loss_type names a loss twice: use loss_weights")
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_types):
            raise ValueError(
                f"loss_weights has {len(self.loss_weights)} entries for {len(self.loss_types)} losses"
            )
        if "label_smoothing" in given and not types & SMOOTHED:
            raise ValueError(f"label_smoothing has no effect: only {_list(SMOOTHED)} take it")
        for name in sorted(types & set(NEED_SMOOTHING)):
            if not self.label_smoothing:
                raise ValueError(
                    f"loss_type {name} needs label_smoothing above 0, such as {NEED_SMOOTHING[name]}"
                )
        if "discopop_tau" in given and "discopop" not in types:
            raise ValueError("discopop_tau has no effect without loss_type: discopop")
        if types == {"sft"}:
            alone = sorted(given & {"ld_alpha", "use_weighting", "f_divergence_type", "beta"})
            if alone:
                raise ValueError(f"{', '.join(alone)} has no effect with loss_type: sft alone")
        if self.rpo_alpha is not None and "sft" in types:
            raise ValueError("rpo_alpha and loss_type: sft are the same term: give one of them")
        return self

    @model_validator(mode="after")
    def _variants(self) -> Self:
        """Variants that a loss does not take."""
        types = set(self.loss_types)
        other = types - OF_DIFFERENCES - {"sft"}
        if self.f_divergence_type != "reverse_kl" and other:
            raise ValueError(
                f"f_divergence_type is for losses of the difference of both answers "
                f"({_list(OF_DIFFERENCES)}), not for {_list(other)}"
            )
        if (
            "f_alpha_divergence_coef" in self.model_fields_set
            and self.f_divergence_type != "alpha_divergence"
        ):
            raise ValueError(
                "f_alpha_divergence_coef has no effect without f_divergence_type: alpha_divergence"
            )
        sorting = types & {"aot", "aot_unpaired"}
        if self.use_weighting and sorting:
            raise ValueError(f"use_weighting is not defined for {_list(sorting)}, which sorts pairs apart")
        return self


def _list(names: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))


_OFF: dict[str, Any] = {
    "loss_weights": None,
    "label_smoothing": 0.0,
    "f_divergence_type": "reverse_kl",
    "f_alpha_divergence_coef": 0.5,
    "ld_alpha": None,
    "use_weighting": False,
    "discopop_tau": 0.05,
}


def dpo_term(loss_type: str, *options: str, **fixed: Any) -> TermSpec:
    """One loss of :class:`charter.objectives.preference.DPO` with ``options``; what is not named is off."""
    values = {"loss_type": loss_type, **_OFF, **fixed}
    kept = {name: value for name, value in values.items() if name not in options}
    return TermSpec("charter.objectives.preference:DPO", options, fixed=kept)


DPO = Entry(
    name="dpo",
    title="Direct preference optimisation",
    family="preference",
    paper="2305.18290",
    sources=OFFLINE["dpo"],
    data="preference",
    reference="frozen",
    terms=(
        TermSpec("charter.objectives.preference:DPO", ("beta", "loss_type", *_OFF)),
        TermSpec("charter.objectives.reference_free:ChosenNLL", weight="rpo_alpha"),
    ),
    options=DPOOptions,
    models=("policy", "reference (its cached log-probs)"),
    best_for="pairs of a better and a worse answer, without a reward model",
    watch="loss keeps falling long after the model is harmed: stop on KL (max_kl)",
    rows="charter.data.win_rates:check_win_rates",
    elsewhere=MOVING,
    paper_settings={
        "beta": 0.1,
        "learning_rate": 1e-6,
        "per_device_train_batch_size": 64,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 150,
    },
    traits=Traits(
        formula="-log sigmoid(beta * (D_w - D_l)), D = log pi(y|x) - log ref(y|x)",
        mechanism="raises the likelihood of better answers over worse ones, relative to the reference",
        stability="likelihood of both sides can fall while the margin grows; seen in logps/chosen and KL",
        complexity="reference log-probs once, beta and a learning rate",
    ),
)

ENTRIES: tuple[Entry, ...] = (DPO,)
