"""Generative reward models: the judgement is text, or the probability of a word."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from charter.catalogue.columns import PAIR, Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.sources_offline import OFFLINE
from charter.catalogue.supervised import nll_term

_BRADLEY_TERRY = TermSpec(
    "charter.objectives.reward:BradleyTerry",
    fixed={
        "use_margin": False,
        "center_rewards_coefficient": None,
        "center_rewards_type": "squared",
        "per_prompt": False,
        "per_dimension": False,
    },
)


class QuestionOptions(TrainOptions):
    """Options of judges that are asked a question after the answer."""

    @model_validator(mode="after")
    def _keeps_the_question(self) -> Self:
        if self.max_prompt_length is not None and self.truncation_mode == "keep_start":
            raise ValueError(
                "max_prompt_length would cut off the question at the end of the prompt: "
                "use truncation_mode: keep_end"
            )
        return self


class VerdictOptions(QuestionOptions):
    """Options of judges that answer with one of two words about one answer."""

    question: str = Field(min_length=1)
    """What is asked after the answer."""

    positive: str = Field(min_length=1)
    """The verdict on a right answer."""

    negative: str = Field(min_length=1)
    """The verdict on a wrong one."""

    @model_validator(mode="after")
    def _two_verdicts(self) -> Self:
        if self.positive.strip() == self.negative.strip():
            raise ValueError("positive and negative are the same word")
        return self


class GenRMOptions(VerdictOptions):
    """Options of generative verifiers."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW."""

    question: str = Field("Is the answer correct (Yes/No)?", min_length=1)
    """What is asked after the answer."""

    positive: str = Field("Yes", min_length=1)
    """The verdict on a right answer."""

    negative: str = Field("No", min_length=1)
    """The verdict on a wrong one."""

    lambda_sft: float = Field(1 / 3, ge=0)
    """Weight of imitating the right answers beside judging all of them; 0 = judging alone."""

    balance: bool = False
    """Leave out rows of the commoner label, at random, until both are equally many; counted."""


class SLiCPointwiseOptions(VerdictOptions):
    """Options of SLiC's pointwise text ranker."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW."""

    question: str = Field("Is the answer good or bad (Good/Bad)?", min_length=1)
    """What is asked after the answer."""

    positive: str = Field("Good", min_length=1)
    """The verdict on a better answer."""

    negative: str = Field("Bad", min_length=1)
    """The verdict on a worse one."""


class PairwiseOptions(QuestionOptions):
    """Options of judges that compare two answers, shown as A and B in both orders."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW."""

    question: str = Field("Which response is better, A or B?", min_length=1)
    """What is asked after the answers."""


class GenRMPairwiseOptions(PairwiseOptions):
    """Options of generative pairwise judges."""

    use_rationales: bool = True
    """Train on the column ``rationale``, where the data has it, before the verdict."""


class CLoudOptions(QuestionOptions):
    """Options of critique-then-score reward models."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW."""

    question: str = Field(
        "Write a critique of the answer above: what is right, what is wrong, and how useful it is.",
        min_length=1,
    )
    """What is asked after the answer; the critique follows."""

    lambda_lm: float = Field(1.25, ge=0)
    """Weight of the critiques' likelihood beside the preference loss; 1.25 for 8B models, 0.75 for 70B."""


GENRM = Entry(
    name="genrm",
    title="Generative verifier: the probability of Yes",
    family="reward",
    paper="2408.15240",
    sources=OFFLINE["genrm"],
    data="unpaired",
    columns=Columns(
        "`prompt`, `completion`, `label`, and optionally `critique` (what is right and wrong with the "
        "answer, written before the verdict; in every row or in none: GenRM-CoT); or pairs, which are taken "
        "apart",
        (
            {
                "prompt": "What is 6 times 7?",
                "completion": "42.",
                "label": True,
                "critique": "6 times 7 is 42, as the answer says.",
            },
            {
                "prompt": "What is 6 times 8?",
                "completion": "46.",
                "label": False,
                "critique": "6 times 8 is 48, not 46.",
            },
        ),
    ),
    reference="none",
    terms=(
        nll_term(part="verify", name="verify", weighted=True),
        nll_term(weight="lambda_sft", part="generate", name="generate", weighted=True),
    ),
    options=GenRMOptions,
    models=("policy",),
    best_for="answers that are right or wrong; best of n with a model that also answers",
    watch="right answers are the commoner label: set balance, and read the probability leaked to other words",
    rows="charter.data.verifier_rows:genrm_rows",
    arrange="charter.data.verdict_tokens:verdict_only",
    elsewhere=("question", "positive", "negative", "balance"),
    paper_settings={"balance": True},
    traits=Traits(
        formula="-log pi(verdict|x, y, question) + lambda_sft * -log pi(y|x) on right answers",
        mechanism="next-token prediction of a verdict; the score is p(Yes) / (p(Yes) + p(No))",
        stability="stable; an unbalanced data set teaches the commoner verdict",
        complexity="one model, one pass; with critiques, as many samples as votes when judging",
    ),
)

GENRM_PAIRWISE = Entry(
    name="genrm-pairwise",
    title="Generative pairwise judge with reasons",
    family="reward",
    paper="2410.12832",
    sources=OFFLINE["genrm-pairwise"],
    data="preference",
    columns=Columns(
        "`prompt`, `chosen`, `rejected`, and optionally `rationale` (reasons that call neither answer A or "
        "B, as both orders are asked; in every row or in none); or `prompt`, `responses` with `ranks` or "
        "`scores`",
        ({**PAIR, "rationale": "Only one answer names the capital."},),
    ),
    reference="none",
    terms=(nll_term(name="verdict", weighted=True),),
    options=GenRMPairwiseOptions,
    models=("policy",),
    best_for="pairs whose better side can be argued for; labels for preference methods",
    watch="the first answer is favoured: both orders are trained, and averaged when judging",
    rows="charter.data.verifier_rows:pairwise_rows",
    arrange="charter.data.verdict_tokens:verdict_only",
    elsewhere=("question", "use_rationales"),
    paper_settings={
        "learning_rate": 1e-6,
        "num_train_epochs": 3.0,
        "adam_beta2": 0.95,
        "weight_decay": 0.1,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
    },
    traits=Traits(
        formula="-log pi(reasons, verdict|x, A, B) in both orders, mean over tokens",
        mechanism="next-token prediction of the better answer's letter, after reasons where there are any",
        stability="stable; a small model learns the format before the comparison",
        complexity="one model, one pass; then dpo on right over wrong verdicts (verdict_pairs)",
    ),
)

CLOUD = Entry(
    name="cloud",
    title="Critique out loud, then score",
    family="reward",
    paper="2408.11791",
    data="preference",
    columns=Columns(
        "`prompt`, `chosen`, `rejected`, with `chosen_critique` and `rejected_critique` (a critique of each)",
        ({**PAIR, "chosen_critique": "Right and short.", "rejected_critique": "Wrong: Lyon is no capital."},),
    ),
    reference="none",
    terms=(
        _BRADLEY_TERRY,
        nll_term(weight="lambda_lm", name="critique", weighted=True),
    ),
    options=CLoudOptions,
    models=("reward",),
    best_for="pairs with a critique of each answer, from people or a stronger model",
    watch="it must be trained on critiques of its own (self_critiques), or it scores ones it never writes",
    trains="reward",
    rows="charter.data.critique_rows:cloud_rows",
    elsewhere=("question",),
    paper_settings={
        "lambda_lm": 1.25,
        "learning_rate": 1e-6,
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 96,
        "weight_decay": 1e-6,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-10,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "max_length": 2048,
    },
    traits=Traits(
        formula="-log sigmoid(r(x, y_w, c_w) - r(x, y_l, c_l)) + lambda_lm * -log pi(c|x, y)",
        mechanism="writes a critique and reads the reward at its end; several critiques are averaged",
        stability="stable where the critiques are its own; needs tied embeddings, which speak for the model",
        complexity="a head and the language model, two stages, a sample for every score",
    ),
)

SLIC_POINTWISE = Entry(
    name="slic-pointwise",
    title="Text ranker, pointwise: Good or Bad",
    family="reward",
    paper="2305.10425",
    sources=OFFLINE["slic-pointwise"],
    data="unpaired",
    reference="none",
    terms=(nll_term(name="verdict", weighted=True),),
    options=SLiCPointwiseOptions,
    models=("policy",),
    best_for="ranking many answers of one prompt: one question for each",
    watch="answers of different prompts share one scale, though the data compared within prompts",
    rows="charter.data.verifier_rows:pointwise_rows",
    arrange="charter.data.verdict_tokens:verdict_only",
    elsewhere=("question", "positive", "negative"),
    paper_settings={"per_device_train_batch_size": 128},
    traits=Traits(
        formula="-log pi(Good|x, y_w) - log pi(Bad|x, y_l)",
        mechanism="next-token prediction of a verdict on each answer alone",
        stability="stable; near-equal answers get opposite labels",
        complexity="one model, one pass, a question for each answer",
    ),
)

SLIC_PAIRWISE = Entry(
    name="slic-pairwise",
    title="Text ranker, pairwise: A or B",
    family="reward",
    paper="2305.10425",
    sources=OFFLINE["slic-pairwise"],
    data="preference",
    reference="none",
    terms=(nll_term(name="verdict", weighted=True),),
    options=PairwiseOptions,
    models=("policy",),
    best_for="choosing among a few answers of one prompt by a tournament",
    watch="comparisons need not be transitive: a tournament's winner depends on the bracket",
    rows="charter.data.verifier_rows:pairwise_rows",
    arrange="charter.data.verdict_tokens:verdict_only",
    elsewhere=("question",),
    paper_settings={"per_device_train_batch_size": 128},
    traits=Traits(
        formula="-log pi(A|x, y_w, y_l) - log pi(B|x, y_l, y_w)",
        mechanism="next-token prediction of the better answer's letter, both answers in view",
        stability="stable; the first position is favoured unless both orders are trained",
        complexity="one model, one pass, K - 1 comparisons in a tournament of K",
    ),
)

ENTRIES: tuple[Entry, ...] = (GENRM, GENRM_PAIRWISE, CLOUD, SLIC_POINTWISE, SLIC_PAIRWISE)
