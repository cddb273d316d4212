"""Learning from a teacher's distributions: context distillation and its relatives."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.columns import Columns
from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions
from charter.catalogue.sources_offline import OFFLINE


class DistillationOptions(TrainOptions):
    """Options of distillation from the same model under a context of its own."""

    teacher_context: str | None = None
    """What the teacher alone is given before every prompt, as a system turn or as a prefix of plain text:
    a text, or the path of a .txt, .md or .constitution.md file. A row's privileged_context column goes
    instead. Not in TRL."""

    divergence: Literal["forward_kl", "reverse_kl", "jsd"] = "forward_kl"
    """From the teacher to the policy: KL(T||S), KL(S||T), or the generalised Jensen-Shannon divergence
    Not in TRL, where beta is 0, 1, or between."""

    beta: float = Field(0.5, gt=0, lt=1)
    """Weight of the teacher in the mixture of jsd."""

    temperature: float = Field(1.0, gt=0)
    """The logits of both are divided by it; the loss is not multiplied by its square."""

    distillation_topk: int | None = Field(None, ge=1)
    """Compare the teacher's so many most probable tokens and one bucket for all others; None = the whole
    vocabulary (TRL: 100 of the student's)."""

    teacher_model_kind: Literal["base", "ema"] = "base"
    """The policy as it was before the first step, or an exponential moving average of it (TRL's live would
    let the target run away with the policy)."""

    teacher_update_rate: float = Field(0.05, gt=0, le=1)
    """Share of the policy in each update of the average."""

    teacher_sync_steps: int = Field(1, ge=1)
    """Optimizer steps between updates of the average."""

    @model_validator(mode="after")
    def _idle(self) -> Self:
        """An option that has no effect, or a harmful one, is an error."""
        given = self.model_fields_set
        if "beta" in given and self.divergence != "jsd":
            raise ValueError(f"beta has no effect with divergence: {self.divergence}")
        for name in ("teacher_update_rate", "teacher_sync_steps"):
            if name in given and self.teacher_model_kind != "ema":
                raise ValueError(f"{name} has no effect without teacher_model_kind: ema")
        if self.max_prompt_length is not None:
            raise ValueError("max_prompt_length would cut the teacher's context away: set max_length alone")
        return self


class OnPolicyDistillationOptions(DistillationOptions):
    """Options of distillation on the student's own answers."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW. With use_peft, 10 to 100 times as much."""

    divergence: Literal["forward_kl", "reverse_kl", "jsd"] = "reverse_kl"
    """From the teacher to the policy: KL(T||S), KL(S||T), or the generalised Jensen-Shannon divergence
    Not in TRL, where beta is 0, 1, or between."""

    temperature: float = Field(1.0, gt=0)
    """Of the student's answers, and of both distributions in the loss."""

    top_p: float = Field(1.0, gt=0, le=1)
    """Sample from the most probable tokens that together reach this probability; 1 = all."""

    max_completion_length: int = Field(512, ge=1)
    """Most tokens of a sampled answer."""

    steps_per_generation: int = Field(1, ge=1)
    """Optimizer steps the answers of a round are split over; 1 = every answer is learnt from by the
    weights that wrote it."""


_TERM = (TermSpec("charter.objectives.distillation:Distillation"),)
_OWN = (
    "teacher_context",
    "divergence",
    "beta",
    "temperature",
    "distillation_topk",
    "teacher_model_kind",
    "teacher_update_rate",
    "teacher_sync_steps",
)
_ROWS = "charter.data.teacher_context:with_teacher"
_ARRANGE = "charter.data.teacher_context:aligned"

CONTEXT_DISTILLATION = Entry(
    name="context-distillation",
    title="Context distillation: a prompt's effect without the prompt",
    family="distillation",
    paper="2112.00861",
    sources=OFFLINE["context-distillation"],
    data="sft",
    columns=Columns(
        "`prompt` and `completion`; or `messages`; with `privileged_context` (what the teacher alone is "
        "given before the prompt), or without it where the option `teacher_context` gives the same to all "
        "rows",
        (
            {
                "prompt": "What is the capital of France?",
                "completion": "Paris.",
                "privileged_context": "Answer in one word.",
            },
        ),
    ),
    reference="none",
    terms=_TERM,
    options=DistillationOptions,
    models=("policy", "teacher (the adapter off, or a frozen copy)"),
    best_for="building a constitution or a long prompt into the weights, from prompts with answers",
    watch="answers the prompted model would not give teach how it goes on from them, not how it begins",
    rows=_ROWS,
    arrange=_ARRANGE,
    elsewhere=_OWN,
    paper_settings={"divergence": "forward_kl", "temperature": 1.0, "distillation_topk": 50},
    traits=Traits(
        formula="D(pi_0(.|C,x,y<t) || pi(.|x,y<t)), mean over tokens",
        mechanism="matches, token by token, the distribution the model itself has under the context C",
        stability="stable, bounded by the prompted model; a loss that stays shows what does not transfer",
        complexity="teacher forward per step, the context, a divergence",
    ),
)

ON_POLICY_DISTILLATION = Entry(
    name="on-policy-distillation",
    title="Context distillation on the student's own answers",
    family="distillation",
    paper="2306.13649",
    sources=OFFLINE["on-policy-distillation"],
    data="prompts",
    columns=Columns(
        "`prompt`, with `privileged_context` (what the teacher alone is given before the prompt), or "
        "without it where the option `teacher_context` gives the same to all rows",
        ({"prompt": "What is the capital of France?", "privileged_context": "Answer in one word."},),
    ),
    reference="none",
    terms=_TERM,
    options=OnPolicyDistillationOptions,
    models=("policy", "teacher (the adapter off, or a frozen copy)"),
    best_for="a prompt built into the weights from prompts alone, where the student's own answers go wrong",
    watch="short answers teach only how to begin; sampling costs more than learning",
    rows=_ROWS,
    arrange=_ARRANGE,
    elsewhere=(*_OWN, "top_p", "max_completion_length", "steps_per_generation"),
    traits=Traits(
        formula="D(pi_0(.|C,x,y<t), pi(.|x,y<t)) on y ~ pi(.|x), mean over tokens",
        mechanism="corrects the student on texts it writes itself towards the prompted model",
        stability="as context distillation; the texts are always the policy's own",
        complexity="sampling in the loop, a teacher forward per step, the context",
    ),
)

ENTRIES: tuple[Entry, ...] = (CONTEXT_DISTILLATION, ON_POLICY_DISTILLATION)
