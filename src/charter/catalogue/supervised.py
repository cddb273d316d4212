"""Learning from answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.sources_offline import OFFLINE


class SpanOptions(TrainOptions):
    """Which tokens of a row are trained."""

    completion_only_loss: bool | None = None
    """True = the completion alone, which needs rows with a prompt; False = the prompt's tokens too;
    None = the completion where there is a prompt, and a text column whole."""

    assistant_only_loss: bool | None = None
    """True = in conversations the assistant's turns alone, those of the prompt too with
    completion_only_loss off; False = every token of the completion, other turns and markup included;
    None = True, unless completion_only_loss is off (TRL: False)."""


SPANS = ("completion_only_loss", "assistant_only_loss")
_SPAN_ROWS = "charter.data.spans:checked"
_SPAN_GROUPS = "charter.data.spans:marked"


class SFTOptions(SpanOptions):
    """Options of supervised fine-tuning."""

    loss_type: Literal["nll", "dft"] = "nll"
    """The loss of a token: negative log-likelihood, or its dynamic form (the algorithm dft)."""

    loss_aggregation: Literal["token_mean", "sequence_mean"] = "token_mean"
    """Mean over the step's tokens, or of the rows' own means, so that long answers count no more than
    short ones. Not in TRL."""


class DFTOptions(SpanOptions):
    """Options of dynamic fine-tuning."""


class PretrainOptions(TrainOptions):
    """Options of continued pretraining."""


class ImitationOptions(TrainOptions):
    """Options of imitation."""


class BinaryDiscriminationOptions(TrainOptions):
    """Options of binary discrimination."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW. With use_peft, 10 to 100 times as much."""

    average_log_prob: bool = True
    """Score an answer by its log-prob per token; off = of the whole answer, which favours short ones."""


_PLAIN: dict[str, Any] = {
    "loss_type": "nll",
    "loss_aggregation": "token_mean",
    "part": "",
    "name": "",
    "weighted": False,
}


def nll_term(*options: str, weight: float | str = 1.0, **fixed: Any) -> TermSpec:
    """:class:`charter.objectives.supervised.NLL` with ``options``; what is not named is plain."""
    kept = {name: value for name, value in {**_PLAIN, **fixed}.items() if name not in options}
    return TermSpec("charter.objectives.supervised:NLL", options, weight, kept)


SFT = Entry(
    name="sft",
    title="Supervised fine-tuning on completions",
    family="supervised",
    paper="2203.02155",
    sources=OFFLINE["sft"],
    data="sft",
    reference="none",
    terms=(nll_term("loss_type", "loss_aggregation"),),
    options=SFTOptions,
    models=("policy",),
    best_for="teaching a format or a skill from good answers; the start of most recipes",
    watch="copies the answers' faults; many epochs memorise",
    rows=_SPAN_ROWS,
    arrange=_SPAN_GROUPS,
    elsewhere=SPANS,
    paper_settings={
        "learning_rate": 9.65e-6,
        "num_train_epochs": 16.0,
        "per_device_train_batch_size": 32,
        "lr_scheduler_type": "cosine",
    },
    traits=Traits(
        formula="-log pi(y|x), mean over tokens",
        mechanism="imitates every token of the answers",
        stability="stable; over-fits in a few epochs, seen in the evaluation loss",
        complexity="one model, one pass, a learning rate",
    ),
)

DFT = Entry(
    name="dft",
    title="Dynamic fine-tuning: likelihood weighted by itself",
    family="supervised",
    paper="2508.05629",
    data="sft",
    reference="none",
    terms=(nll_term(loss_type="dft"),),
    options=DFTOptions,
    models=("policy",),
    best_for="answers a capable model could nearly have given itself (mathematics, code)",
    watch="barely learns what the model finds unlikely: new facts and formats stay unlearnt",
    rows=_SPAN_ROWS,
    arrange=_SPAN_GROUPS,
    elsewhere=SPANS,
    paper_settings={
        "learning_rate": 5e-5,
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 256,
        "max_length": 2048,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
    },
    traits=Traits(
        formula="-sg(p_t) log p_t, mean over tokens",
        mechanism="imitates the tokens the model already finds likely; the others hardly move it",
        stability="gentler than NLL; a loss near 0 may also mean that nothing is learnt: see nll",
        complexity="as supervised fine-tuning",
    ),
)

PRETRAIN = Entry(
    name="pretrain",
    title="Continued pretraining on text",
    family="supervised",
    paper="2203.02155",
    data="sft",
    reference="none",
    terms=(nll_term(),),
    options=PretrainOptions,
    models=("policy",),
    best_for="keeping or widening what a model knows; the term PPO-ptx adds to its policy loss",
    watch="a chat model forgets its manners; mix in conversations",
    arrange="charter.data.spans:whole",
    traits=Traits(
        formula="-log pi(text), mean over all tokens, prompts and every turn included",
        mechanism="predicts every token of the documents",
        stability="stable; drifts towards the documents' style",
        complexity="one model, one pass, a learning rate",
    ),
)

IMITATION = Entry(
    name="imitation",
    title="Imitation of the best answers of preference data",
    family="supervised",
    paper="2112.00861",
    data="preference",
    reference="none",
    terms=(nll_term(weighted=True),),
    options=ImitationOptions,
    models=("policy",),
    best_for="a baseline on preference data: what do the good answers teach by themselves?",
    watch="the worse answers teach nothing, and become likelier along with the better ones",
    rows="charter.data.good_answers:keep_best",
    traits=Traits(
        formula="-log pi(y_w|x), mean over tokens",
        mechanism="imitates every answer that nothing was preferred to",
        stability="stable; over-fits in a few epochs, seen in the evaluation loss",
        complexity="one model, one pass, a learning rate",
    ),
)

BINARY_DISCRIMINATION = Entry(
    name="binary-discrimination",
    title="Binary discrimination of good from bad answers by likelihood",
    family="supervised",
    paper="2112.00861",
    data="preference",
    reference="none",
    terms=(TermSpec("charter.objectives.supervised:BinaryDiscrimination", ("average_log_prob",)),),
    options=BinaryDiscriminationOptions,
    models=("policy",),
    best_for="a baseline beside imitation and reward models: ranking answers by likelihood alone",
    watch="nothing holds the policy to what it was: likelihood of both sides falls, text degrades",
    traits=Traits(
        formula="log(1 + exp(s_l - s_w)), s = log pi(y|x) / |y|",
        mechanism="moves likelihood per token from worse to better answers, without a reference",
        stability="as a text model it degrades soon; as a ranker it over-fits: watch evaluation accuracy",
        complexity="one model, a learning rate",
    ),
)

ENTRIES: tuple[Entry, ...] = (SFT, DFT, PRETRAIN, IMITATION, BINARY_DISCRIMINATION)
