"""Preference methods on more than two answers, or with more than one objective."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from charter.catalogue.columns import PAIR, Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.weights import named_weights

_MODELS = ("policy", "reference (its cached log-probs)")


class NCAOptions(TrainOptions):
    """Options of noise contrastive alignment on ratings."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.01, gt=0)
    """Scale of the implicit reward; larger stays closer to the reference."""

    temperature_alpha: float = Field(1.0, gt=0)
    """Ratings are divided by it before the softmax over a prompt's answers; on their scale, and small =
    only the best answer counts."""


class EXOOptions(TrainOptions):
    """Options of efficient exact optimisation on ratings."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.5, gt=0)
    """Scale of the implicit reward (the paper's beta_pi)."""

    beta_r: float = Field(0.5, gt=0)
    """Ratings are divided by it before the softmax over a prompt's answers."""


class MODPOOptions(TrainOptions):
    """Options of multi-objective direct preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""

    w: float = Field(0.5, gt=0, lt=1)
    """Weight of the objective the pairs were judged on; near 0 the loss explodes, and 1 would be dpo."""

    margin_weights: tuple[str, ...] = ()
    """Weights of the other objectives, each ``name=weight``; with w they sum to 1. Empty = what w leaves,
    in equal parts."""

    @model_validator(mode="after")
    def _simplex(self) -> Self:
        """The weights are shares."""
        weights = named_weights(self.margin_weights)
        if weights and abs(self.w + sum(weights.values()) - 1) > 1e-6:
            raise ValueError(f"w and margin_weights sum to {self.w + sum(weights.values()):g}, not 1")
        return self


_NCA_PUBLISHED = {
    "beta": 0.01,
    "temperature_alpha": 1e-4,
    "learning_rate": 5e-6,
    "num_train_epochs": 1.0,
    "per_device_train_batch_size": 32,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,
    "max_length": 1024,
    "max_prompt_length": 512,
    "use_peft": True,
    "lora_r": 16,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
}

INFONCA = Entry(
    name="infonca",
    title="InfoNCA: a softmax over rated answers",
    family="preference",
    paper="2402.05369",
    data="rated",
    reference="frozen",
    terms=(TermSpec("charter.objectives.listwise:InfoNCA", ("beta", "temperature_alpha")),),
    rows="charter.data.ratings:one_rating_each",
    options=NCAOptions,
    models=_MODELS,
    best_for="several rated answers to each prompt, where not only their order means something",
    watch="only differences within a prompt are learned: the likelihood of all answers can fall together",
    paper_settings=_NCA_PUBLISHED,
    traits=Traits(
        formula="-sum_k softmax(score / alpha)_k * log softmax(beta * D)_k, D = log pi(y|x) - log ref(y|x)",
        mechanism="the implicit rewards of a prompt's answers follow their ratings; two answers are DPO",
        stability="as DPO: relative, so likelihood displacement is possible",
        complexity="reference log-probs once, beta and the temperature of the ratings",
    ),
)

NCA_K = Entry(
    name="nca-k",
    title="NCA: absolute likelihoods of rated answers",
    family="preference",
    paper="2402.05369",
    data="rated",
    reference="frozen",
    terms=(TermSpec("charter.objectives.listwise:NCA", ("beta", "temperature_alpha")),),
    rows="charter.data.ratings:one_rating_each",
    options=NCAOptions,
    models=_MODELS,
    best_for="rated answers, where the likelihood of the good ones must not fall (reasoning, code)",
    watch="answers of equal rating are all pushed to the reference's likelihood, good or bad",
    paper_settings=_NCA_PUBLISHED,
    traits=Traits(
        formula="-sum_k softmax(score / alpha)_k * log sigmoid(beta * D_k) - mean_k log sigmoid(-beta * D_k)",
        mechanism="each answer is told from noise by itself: good ones rise, all are held near the reference",
        stability="holds the likelihood of the best answers, which InfoNCA and DPO may lower",
        complexity="reference log-probs once, beta and the temperature of the ratings",
    ),
)

EXO_K = Entry(
    name="exo-k",
    title="Efficient exact optimisation on ratings",
    family="preference",
    paper="2402.00856",
    data="rated",
    reference="frozen",
    terms=(TermSpec("charter.objectives.listwise:EXO", ("beta", "beta_r")),),
    rows="charter.data.ratings:one_rating_each",
    options=EXOOptions,
    models=_MODELS,
    best_for="many answers per prompt sampled from the reference, rated by a reward model",
    watch="mode-seeking: the gradient vanishes where the policy is sure, right or wrong",
    paper_settings={"beta": 0.5, "beta_r": 0.5, "learning_rate": 1e-6, "num_train_epochs": 1.0},
    traits=Traits(
        formula="KL(softmax(beta * D) || softmax(score / beta_r)) over the answers of a prompt",
        mechanism="matches the optimal policy in the direction reinforcement learning does (reverse KL)",
        stability="not convex in D: starts on answers far from the ratings' order may stay there",
        complexity="reference log-probs once, two temperatures",
    ),
)

MODPO = Entry(
    name="modpo",
    title="Multi-objective direct preference optimisation",
    family="preference",
    paper="2310.03708",
    data="preference",
    columns=Columns(
        "`prompt`, `chosen`, `rejected`, with `chosen_scores` and `rejected_scores` (`{name: number}`: each "
        "answer on the other objectives, on the scale of `beta` times a log-ratio)",
        ({**PAIR, "chosen_scores": {"harmless": 0.2}, "rejected_scores": {"harmless": 0.1}},),
    ),
    reference="frozen",
    terms=(TermSpec("charter.objectives.modpo:MODPO", ("beta", "w", "margin_weights")),),
    options=MODPOOptions,
    models=_MODELS,
    best_for="one policy for each trade-off of objectives, from pairs on one and scores on the others",
    watch="scores must be on the scale of beta times a log-ratio: see modpo/margin beside rewards/margins",
    rows="charter.data.objective_scores:with_scores",
    paper_settings={"beta": 0.1},
    traits=Traits(
        formula="-log sigmoid((beta * (D_w - D_l) - w_rest . (r_rest(y_w) - r_rest(y_l))) / w)",
        mechanism="DPO whose target margin grows where the other objectives disagree with the pair",
        stability="as DPO; explodes for small w",
        complexity="scores of both answers on the other objectives; one run for each weighting",
    ),
)

ENTRIES: tuple[Entry, ...] = (INFONCA, NCA_K, EXO_K, MODPO)
