"""Methods on answers labelled one by one: KTO, APO-zero unpaired, BCO."""

from __future__ import annotations

from functools import partial
from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import MOVING, MovingReference, TrainOptions
from charter.catalogue.sources_offline import OFFLINE

_LABELS = "charter.data.labels:one_label_each"


class LabelOptions(MovingReference):
    """Options of methods that weigh the two kinds of answers."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW. With use_peft, 10 to 100 times as much."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""

    desirable_weight: float = Field(1.0, gt=0)
    """Factor on the losses of desirable answers. With n desirable and m undesirable answers,
    desirable_weight * n / (undesirable_weight * m) is best between 1 and 4/3."""

    undesirable_weight: float = Field(1.0, gt=0)
    """Factor on the losses of undesirable answers; see desirable_weight."""


class KTOOptions(LabelOptions):
    """Options of Kahneman-Tversky optimisation."""

    loss_type: Literal["kto", "apo_zero_unpaired"] = "kto"
    """``kto``, or ``apo_zero_unpaired``, whose reference point is 0 (the algorithm apo-zero-unpaired)."""


class BCOOptions(TrainOptions):
    """Options of binary classifier optimisation."""

    learning_rate: float = Field(5e-7, gt=0)
    """Peak learning rate of AdamW. With use_peft, 10 to 100 times as much."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""

    delta_decay: float = Field(0.9, ge=0, lt=1)
    """Share of the old mean rewards kept when a step's are taken into the reward shift; 0 = the step's
    alone. Not in TRL, whose shift is the mean of all rewards so far."""

    udm: bool = False
    """Match the prompts of undesirable answers to those of desirable ones by weights, from a classifier on
    the policy's embeddings of prompts. Not in TRL, where an embedding function switches it on."""

    prompt_sample_size: int = Field(1024, ge=2)
    """Prompts of each kind that the classifier is fitted on, drawn at random from more. Needs udm."""

    min_density_ratio: float = Field(0.5, gt=0)
    """Least weight of an undesirable answer under udm."""

    max_density_ratio: float = Field(10.0, gt=0)
    """Greatest weight of an undesirable answer under udm."""

    @model_validator(mode="after")
    def _udm(self) -> Self:
        """Without udm the others do nothing."""
        for name in ("prompt_sample_size", "min_density_ratio", "max_density_ratio"):
            if name in self.model_fields_set and not self.udm:
                raise ValueError(f"{name} has no effect without udm: true")
        if self.min_density_ratio >= self.max_density_ratio:
            raise ValueError("min_density_ratio must be below max_density_ratio")
        return self


_entry = partial(
    Entry,
    family="unpaired",
    data="unpaired",
    reference="frozen",
    models=("policy", "reference (its cached log-probs)"),
    rows=_LABELS,
)
_OBJECTIVE = "charter.objectives.unpaired:KTO"
_WEIGHTS = ("beta", "desirable_weight", "undesirable_weight")

KTO = _entry(
    name="kto",
    title="Kahneman-Tversky optimisation",
    paper="2402.01306",
    sources=OFFLINE["kto"],
    terms=(TermSpec(_OBJECTIVE, ("loss_type", *_WEIGHTS)),),
    options=KTOOptions,
    arrange="charter.training.mismatch:with_mismatched",
    elsewhere=MOVING,
    best_for="thumbs up and down on single answers, of unequal numbers, noisy or contradicting",
    watch="kl/mismatched growing without end: the policy runs away and its reference point with it (max_kl)",
    paper_settings={
        "beta": 0.1,
        "learning_rate": 5e-6,
        "per_device_train_batch_size": 32,
        "num_train_epochs": 1.0,
        "max_length": 1024,
        "max_prompt_length": 512,
    },
    traits=Traits(
        formula="1 - sigmoid(beta * (D - z0)) if desirable, 1 - sigmoid(beta * (z0 - D)) if not, "
        "D = log pi(y|x) - log ref(y|x), z0 = max(0, mean D of mismatched answers)",
        mechanism="lifts desirable answers above, undesirable ones below how far the policy has moved anyway",
        stability="saturates on both sides, so that noisy labels and outliers stop pushing",
        complexity="as DPO, with a forward of mismatched answers without gradient; no pairs",
    ),
)

APO_ZERO_UNPAIRED = _entry(
    name="apo-zero-unpaired",
    title="Anchored preference optimisation on labelled answers",
    paper="2408.06266",
    terms=(TermSpec(_OBJECTIVE, _WEIGHTS, fixed={"loss_type": "apo_zero_unpaired"}),),
    options=LabelOptions,
    elsewhere=MOVING,
    best_for="labelled answers whose desirable ones are better than the model's own; one prompt is enough",
    watch="desirable answers worse than the model's own are raised all the same",
    paper_settings={"beta": 0.1},
    traits=Traits(
        formula="1 - sigmoid(beta * D) if desirable, sigmoid(beta * D) if not",
        mechanism="KTO with the reference itself as the reference point",
        stability="saturates on both sides, so it is gentle",
        complexity="as DPO, without pairs and without mismatched answers",
    ),
)

BCO = _entry(
    name="bco",
    title="Binary classifier optimisation",
    paper="2404.04656",
    terms=(TermSpec("charter.objectives.unpaired:BCO", ("beta", "delta_decay")),),
    options=BCOOptions,
    arrange="charter.training.density:with_density_ratio",
    elsewhere=("udm", "prompt_sample_size", "min_density_ratio", "max_density_ratio"),
    best_for="labelled answers whose good and bad ones come from different prompts (with udm)",
    watch="undesirable answers are pushed down without end; delta follows, so watch logps/chosen and KL",
    paper_settings={
        "beta": 0.01,
        "learning_rate": 5e-7,
        "per_device_train_batch_size": 128,
        "max_prompt_length": 1536,
        "max_length": 2048,
        "udm": True,
    },
    traits=Traits(
        formula="-log sigmoid(r - delta) if desirable, -log sigmoid(delta - r) if not, r = beta * D, "
        "delta = half the sum of both kinds' mean r",
        mechanism="a classifier of good and bad answers whose logit is the implicit reward",
        stability="does not saturate: wrong labels and outliers keep pushing",
        complexity="as DPO, with a reward shift carried from step to step; udm fits a small classifier first",
    ),
)

ENTRIES: tuple[Entry, ...] = (KTO, APO_ZERO_UNPAIRED, BCO)
