"""Pair methods that say for each answer where it should go, and alignment by optimal transport."""

from __future__ import annotations

from functools import partial

from pydantic import Field

from charter.catalogue.columns import PAIR, TEXT_OF_PAIRS, Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.preference import dpo_term
from charter.catalogue.preference_variants import PairOptions
from charter.catalogue.sources_offline import OFFLINE

_entry = partial(
    Entry,
    family="preference",
    data="preference",
    reference="frozen",
    models=("policy", "reference (its cached log-probs)"),
)


_APO_COLUMNS = Columns(
    f"{TEXT_OF_PAIRS}; by `chosen_score` and `model_score` (one judge's scores of the chosen answer and of "
    "the model's own to the prompt) `charter advise` tells apo-zero from apo-down",
    ({**PAIR, "chosen_score": 0.9, "model_score": 0.4},),
)


class SPPOOptions(PairOptions):
    """Options of self-play preference optimisation."""

    beta: float = Field(1e-3, gt=0)
    """The paper's 1 / eta: an answer's target log-ratio is (win rate - 1/2) / beta, so a small beta moves
    far (TRL: 0.1)."""


class AOTOptions(PairOptions):
    """Options of alignment by optimal transport."""

    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of quantiles taken to be the wrong way round."""


_NCA = _entry(
    name="nca",
    title="Noise-contrastive alignment, on pairs",
    paper="2402.05369",
    terms=(dpo_term("nca_pair", "beta"),),
    options=PairOptions,
    best_for="keeping the better answers' likelihood up, as reasoning and mathematics want it",
    watch="margins grow slower than DPO's",
    paper_settings={"beta": 0.01, "learning_rate": 5e-6, "per_device_train_batch_size": 32},
    traits=Traits(
        formula="-log sigmoid(b) - (log sigmoid(-b) + log sigmoid(-w)) / 2, rewards b and w = beta * D",
        mechanism="each answer against noise: absolute rewards, not only their difference",
        stability="likelihood of better answers does not fall",
        complexity="as DPO",
    ),
)
_BCO = _entry(
    name="bco-pair",
    title="Binary classifier optimisation, on pairs",
    paper="2404.04656",
    terms=(dpo_term("bco_pair", "beta"),),
    options=PairOptions,
    best_for="pairs whose answers are good and bad in themselves, not only better and worse",
    watch="a good answer in the worse place is pushed down all the same",
    paper_settings={
        "beta": 0.01,
        "learning_rate": 5e-7,
        "per_device_train_batch_size": 128,
        "max_prompt_length": 1536,
        "max_length": 2048,
    },
    traits=Traits(
        formula="-log sigmoid(b) - log sigmoid(-w), rewards b and w = beta * D",
        mechanism="a classifier that says good of better answers and bad of worse ones",
        stability="better answers are held up, worse ones pushed down without end",
        complexity="as DPO; the shift of the unpaired method is left out",
    ),
)
_SPPO_HARD = _entry(
    name="sppo-hard",
    title="Self-play preference optimisation with hard win rates",
    paper="2405.00675",
    terms=(dpo_term("sppo_hard", "beta"),),
    options=PairOptions,
    best_for="SPPO where all that is known is which answer won",
    watch="targets are +-1 / (2 beta) nats for whole answers: beta decides how far it goes",
    paper_settings={"beta": 1e-3, "learning_rate": 5e-7, "per_device_train_batch_size": 64},
    traits=Traits(
        formula="(D_w - 1 / (2 beta))^2 + (D_l + 1 / (2 beta))^2",
        mechanism="draws each answer's log-ratio to its own target",
        stability="finite targets, so it stops; square loss, so early gradients are large",
        complexity="as DPO",
    ),
)
_SPPO = _entry(
    name="sppo",
    title="Self-play preference optimisation",
    paper="2405.00675",
    columns=Columns(
        "`prompt`, `responses`, `scores` (win rates between 0 and 1); or `prompt`, `chosen`, `rejected`, "
        "with `probability` (that the chosen answer wins; 1 where it is missing)",
        (
            {
                "prompt": "What is the capital of France?",
                "responses": ["Paris.", "A large city.", "I think it is Lyon."],
                "scores": [0.9, 0.5, 0.1],
            },
        ),
    ),
    terms=(dpo_term("sppo", "beta"),),
    options=SPPOOptions,
    rows="charter.data.win_rates:check_win_rates",
    best_for="sampled answers with win rates (scores between 0 and 1), or pairs with a probability",
    watch="scores are read as win rates; all pairs of a prompt are used, the paper takes best and worst",
    paper_settings={"beta": 1e-3, "learning_rate": 5e-7, "per_device_train_batch_size": 64},
    traits=Traits(
        formula="((D_w - (P_w - 1/2) / beta)^2 + (D_l - (P_l - 1/2) / beta)^2) / 2, P = win rate",
        mechanism="multiplicative weights: each answer's likelihood follows its win rate",
        stability="even answers are held at the reference; targets are large at small beta",
        complexity="DPO, and win rates from a preference model; meant to be repeated on new samples",
    ),
)
_APO_ZERO = _entry(
    name="apo-zero",
    title="Anchored preference optimisation, better answers up",
    paper="2408.06266",
    sources=OFFLINE["apo-zero"],
    columns=_APO_COLUMNS,
    terms=(dpo_term("apo_zero", "beta"),),
    options=PairOptions,
    best_for="better answers that are better than the model's own",
    watch="on answers worse than the model's own it raises what should fall: see apo-down",
    paper_settings={
        "beta": 0.1,
        "learning_rate": 2e-7,
        "per_device_train_batch_size": 64,
        "max_prompt_length": 512,
    },
    traits=Traits(
        formula="1 - sigmoid(b) + sigmoid(w), rewards b and w = beta * D",
        mechanism="better answers up and worse ones down, each from the reference",
        stability="saturates on both sides, so it is gentle",
        complexity="as DPO",
    ),
)
_APO_DOWN = _entry(
    name="apo-down",
    title="Anchored preference optimisation, both answers down",
    paper="2408.06266",
    sources=OFFLINE["apo-down"],
    columns=_APO_COLUMNS,
    terms=(dpo_term("apo_down", "beta"),),
    options=PairOptions,
    best_for="pairs both of whose answers are worse than the model's own",
    watch="from a start that ranks pairs far the wrong way it hardly recovers",
    paper_settings={
        "beta": 0.1,
        "learning_rate": 2e-7,
        "per_device_train_batch_size": 64,
        "max_prompt_length": 512,
    },
    traits=Traits(
        formula="sigmoid(b) + 1 - sigmoid(b - w), rewards b and w = beta * D",
        mechanism="both answers down, the worse further",
        stability="saturates; the better answers' likelihood falls by design",
        complexity="as DPO",
    ),
)
_AOT = _entry(
    name="aot",
    title="Alignment by optimal transport, paired",
    paper="2406.05882",
    sources=OFFLINE["aot"],
    terms=(dpo_term("aot", "beta", "label_smoothing"),),
    options=AOTOptions,
    best_for="margins that should grow over the whole data, not on each pair",
    watch="compares within an optimizer step: with one pair a step it is dpo, so use large steps",
    traits=Traits(
        formula="-log sigmoid(beta * (u_(i) - v_(i))), u and v = sorted margins of policy and reference",
        mechanism="the distribution of the policy's margins is moved above the reference's",
        stability="outliers are compared with outliers: less pull from single pairs",
        complexity="DPO and a sort over the step",
    ),
)
_AOT_UNPAIRED = _entry(
    name="aot-unpaired",
    title="Alignment by optimal transport, unpaired",
    paper="2406.05882",
    sources=OFFLINE["aot-unpaired"],
    data="unpaired",
    terms=(TermSpec("charter.objectives.transport:AOTUnpaired", ("beta", "label_smoothing")),),
    options=AOTOptions,
    rows="charter.data.labels:one_label_each",
    best_for="good and bad answers to different prompts, in any numbers; preference rows are taken apart",
    watch="compares within an optimizer step, which needs several answers of both labels",
    traits=Traits(
        formula="-log sigmoid(beta * (D+_(q) - D-_(q))), quantiles q of good and bad answers' log-ratios",
        mechanism="the distribution of good answers' log-ratios is moved above that of bad ones",
        stability="a step without one of the labels teaches nothing",
        complexity="DPO and a sort over the step, no pairs",
    ),
)

ENTRIES: tuple[Entry, ...] = (
    _NCA,
    _BCO,
    _SPPO_HARD,
    _SPPO,
    _APO_ZERO,
    _APO_DOWN,
    _AOT,
    _AOT_UNPAIRED,
)
