"""Other losses of the difference of both answers: for noisy labels, with a target, under a divergence."""

from __future__ import annotations

from functools import partial
from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.preference import dpo_term
from charter.catalogue.sources_offline import OFFLINE

_entry = partial(
    Entry,
    family="preference",
    data="preference",
    reference="frozen",
    models=("policy", "reference (its cached log-probs)"),
)


class PairOptions(TrainOptions):
    """Options of a loss on pairs held against a reference."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""


class NoisyOptions(PairOptions):
    """Options of losses for pairs some of which are the wrong way round."""

    label_smoothing: float = Field(0.1, gt=0, lt=0.5)
    """Share of pairs taken to be the wrong way round (TRL: 0, which is dpo)."""


class IPOOptions(PairOptions):
    """Options of identity preference optimisation."""

    beta: float = Field(0.1, gt=0)
    """The paper's tau: the target margin is 1 / (2 beta), in nats per token if length_normalize."""

    length_normalize: bool = True
    """Log-ratios per token, as the authors computed; off = sums, as the equation reads. Not in TRL,
    which always averages."""


class EXOOptions(PairOptions):
    """Options of efficient exact optimisation."""

    label_smoothing: float = Field(1e-3, gt=0, lt=0.5)
    """What the target leaves to the worse answer (TRL: 0, which it then refuses)."""


class FOptions(PairOptions):
    """Options of f-DPO."""

    f_divergence_type: Literal["forward_kl", "js_divergence", "alpha_divergence"] = "js_divergence"
    """Divergence from the reference that is constrained (TRL: reverse_kl, which is dpo)."""

    f_alpha_divergence_coef: float = Field(0.5, gt=0, lt=1)
    """Alpha of alpha_divergence: near 0 it is forward KL, near 1 reverse KL."""

    @model_validator(mode="after")
    def _alpha(self) -> Self:
        """Alpha belongs to one divergence."""
        if (
            "f_alpha_divergence_coef" in self.model_fields_set
            and self.f_divergence_type != "alpha_divergence"
        ):
            raise ValueError(
                "f_alpha_divergence_coef has no effect without f_divergence_type: alpha_divergence"
            )
        return self


class DiscoPOPOptions(PairOptions):
    """Options of DiscoPOP."""

    discopop_tau: float = Field(0.05, gt=0)
    """Temperature of the modulation; small = a sharp change from one loss to the other."""


class PsiOptions(PairOptions):
    """Options of Psi-PO."""

    psi: Literal["identity", "logit", "probit"] = "identity"
    """Map from win probability to reward difference: identity (IPO with sums), logit (DPO) or probit
    (Thurstone's model). Not in TRL."""


_CDPO = _entry(
    name="cdpo",
    title="Conservative DPO: soft labels",
    paper="https://ericmitchell.ai/cdpo.pdf",
    terms=(dpo_term("cdpo", "beta", "label_smoothing"),),
    options=NoisyOptions,
    best_for="pairs of which a known share is the wrong way round, and margins should stay finite",
    watch="margins stop at log((1 - e) / e) / beta: no sign that training has stalled",
    traits=Traits(
        formula="-(1 - e) log sigmoid(h) - e log sigmoid(-h), h = beta * (D_w - D_l)",
        mechanism="DPO to a finite margin: the label is taken to be wrong with probability e",
        stability="stops by itself at its margin; biased if the labels are clean",
        complexity="DPO and the noise rate e",
    ),
)
_ROBUST = _entry(
    name="robust",
    title="Robust DPO: unbiased under flipped labels",
    paper="2403.00409",
    terms=(dpo_term("robust", "beta", "label_smoothing"),),
    options=NoisyOptions,
    best_for="pairs flipped at a known rate, where clean-label DPO is what is wanted",
    watch="the loss can be negative; a noise rate set too high pushes margins without end",
    paper_settings={
        "beta": 0.01,
        "label_smoothing": 0.1,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 16,
        "max_prompt_length": 128,
        "max_length": 512,
    },
    traits=Traits(
        formula="(-(1 - e) log sigmoid(h) + e log sigmoid(-h)) / (1 - 2e)",
        mechanism="its mean over flipped labels is DPO's loss on clean ones",
        stability="higher variance than cdpo, unbounded below",
        complexity="DPO and the noise rate e",
    ),
)
_HINGE = _entry(
    name="hinge",
    title="Hinge loss on the log-ratio margin (RSO)",
    paper="2309.06657",
    terms=(dpo_term("hinge", "beta"),),
    options=PairOptions,
    best_for="rejection-sampled pairs, and a loss that leaves alone what is already apart",
    watch="pairs beyond the margin 1 / beta teach nothing any more",
    paper_settings={"beta": 0.05},
    traits=Traits(
        formula="max(0, 1 - h), h = beta * (D_w - D_l)",
        mechanism="pushes each pair to a margin of 1 / beta and then stops",
        stability="bounded margins; gradient is all or nothing",
        complexity="as DPO",
    ),
)
_IPO = _entry(
    name="ipo",
    title="Identity preference optimisation",
    paper="2310.12036",
    terms=(TermSpec("charter.objectives.preference:IPO", ("beta", "length_normalize")),),
    options=IPOOptions,
    best_for="certain or few pairs, on which DPO's margins grow without end",
    watch="beta means another thing per token (0.1 wants 5 nats a token: try 0.5 to 1) than in sums",
    paper_settings={"length_normalize": False},
    traits=Traits(
        formula="(m - 1 / (2 beta))^2, m = D_w / |y_w| - D_l / |y_l|",
        mechanism="draws the margin to a fixed target instead of pushing it up",
        stability="reverses beyond the target; square loss, so early gradients are large",
        complexity="as DPO, with a target to choose",
    ),
)
_PSI = _entry(
    name="psi-po",
    title="Psi-PO family",
    paper="2310.12036",
    terms=(TermSpec("charter.objectives.psi_po:PsiPO", ("beta", "psi")),),
    options=PsiOptions,
    best_for="pairs with soft win probabilities, and comparing what a preference is taken to mean",
    watch="with certain pairs only identity has a finite optimum",
    traits=Traits(
        formula="margin drawn to (Psi(p) - Psi(1/2)) / beta",
        mechanism="win probabilities become reward differences through Psi",
        stability="identity bounded; logit and probit as DPO",
        complexity="DPO and the choice of Psi",
    ),
)
_EXO = _entry(
    name="exo",
    title="Efficient exact optimisation, on pairs",
    paper="2402.00856",
    terms=(dpo_term("exo_pair", "beta", "label_smoothing"),),
    options=EXOOptions,
    best_for="a policy that should concentrate on good answers: KL the other way round than DPO's",
    watch="not convex: pairs far on the wrong side have almost no gradient",
    paper_settings={
        "beta": 0.1,
        "label_smoothing": 1e-3,
        "learning_rate": 1e-6,
        "per_device_train_batch_size": 64,
    },
    traits=Traits(
        formula="KL((q, 1 - q) || (1 - e, e)), q = sigmoid(h)",
        mechanism="mode-seeking: the pair's policy is fitted to the target in reverse KL",
        stability="strong pull near the reference, none far from it",
        complexity="DPO and a small e",
    ),
)
_F = _entry(
    name="f-dpo",
    title="DPO under another divergence",
    paper="2309.16240",
    terms=(dpo_term("sigmoid", "beta", "f_divergence_type", "f_alpha_divergence_coef"),),
    options=FOptions,
    best_for="keeping more of the reference's diversity than reverse KL does",
    watch="forward_kl has exponential gradients where an answer lost likelihood: start with a small step",
    # The authors' script for HH with the Jensen-Shannon divergence.
    paper_settings={
        "f_divergence_type": "js_divergence",
        "beta": 0.3,
        "per_device_train_batch_size": 64,
    },
    traits=Traits(
        formula="-log sigmoid(beta * (f'(r_w) - f'(r_l))), r = pi(y|x) / ref(y|x)",
        mechanism="DPO with f' of the likelihood ratio in place of its logarithm",
        stability="js_divergence milder than DPO where ratios grow, forward_kl harsh where they fall",
        complexity="DPO and a divergence",
    ),
)
_DISCOPOP = _entry(
    name="discopop",
    title="DiscoPOP: a loss found by a language model",
    paper="2406.08414",
    sources=OFFLINE["discopop"],
    terms=(dpo_term("discopop", "beta", "discopop_tau"),),
    options=DiscoPOPOptions,
    best_for="reproducing the paper's results",
    watch="at the reference the gradient lowers the margin: from there it learns a small negative one",
    paper_settings={
        "beta": 0.05,
        "discopop_tau": 0.05,
        "learning_rate": 5e-7,
        "per_device_train_batch_size": 64,
    },
    traits=Traits(
        formula="(1 - m) * -log sigmoid(h) + m * exp(-h), m = sigmoid(h / tau)",
        mechanism="logistic loss below the reference, exponential above it, blended between",
        stability="not monotone: two valleys with the reference on the ridge between",
        complexity="DPO and tau",
    ),
)

ENTRIES: tuple[Entry, ...] = (
    _CDPO,
    _ROBUST,
    _HINGE,
    _IPO,
    _PSI,
    _EXO,
    _F,
    _DISCOPOP,
)
