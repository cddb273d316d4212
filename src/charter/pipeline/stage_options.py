"""What a recipe may say of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from charter.config import Config
from charter.feedback.revising.rule_critic import RULES
from charter.pipeline.review_options import ReviewStage
from charter.pipeline.stage_models import NAME


class SampleStage(Config):
    """Sample completions of the training prompts."""

    prompts: str
    """File of prompts."""
    model: str | None = None
    """The model that answers, such as ``{sft}`` after a train stage of that name; None = the recipe's."""
    num_generations: int = Field(8, ge=1)
    """Completions per prompt."""
    temperature: float = Field(0.8, ge=0)
    """Logits are divided by it."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Keep the most probable tokens that together reach this probability."""
    max_completion_length: int = Field(256, ge=1)
    """Most tokens of a completion."""
    guided: int = Field(0, ge=0)
    """How many of the completions are sampled with the constitution as system prompt; trained without it."""
    seed: int = 0
    """The same seed gives the same completions."""

    @model_validator(mode="after")
    def _guided_fits(self) -> Self:
        if self.guided > self.num_generations:
            raise ValueError(f"guided ({self.guided}) is more than num_generations ({self.num_generations})")
        return self


class _WithJudge(Config):
    """A stage in which a judge may decide what rules leave open."""

    judge: str | tuple[str, ...] | None = None
    """Judges what rules leave open: a model, a distilled judge's folder, or ``endpoint:MODEL@URL``; a list of
    them judges as a panel."""
    card: str | tuple[str, ...] | None = None
    """The judge's card, of a panel a list of them; a judge without one is examined first."""
    labels: str | None = None
    """Rows that people labelled: they calibrate the judge, or correct the rates of their answers."""

    @property
    def judges(self) -> tuple[str, ...]:
        """Names of the judges."""
        return (self.judge,) if isinstance(self.judge, str) else self.judge or ()

    @property
    def cards(self) -> tuple[str, ...]:
        """Files of their cards."""
        return (self.card,) if isinstance(self.card, str) else self.card or ()

    @model_validator(mode="after")
    def _judge_is_named(self) -> Self:
        for name in ("judge", "card"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} is an empty list: leave it out")
        for name in ("card", "labels"):
            if getattr(self, name) is not None and self.judge is None:
                raise ValueError(f"{name} has no effect without a judge")
        return self


class JudgeStage(_WithJudge):
    """Judge every completion under every principle: by its rules, or by a judge where its card lets it."""


class CompareStage(Config):
    """Make preference pairs from judgements."""

    pairs_per_prompt: int = Field(1, ge=1)
    """Pairs of best and worst per prompt, next-best and next-worst after that."""
    weights: Mapping[str, float] = Field(default_factory=dict)
    """Weight of a principle in an answer's score, instead of the constitution's."""
    quota: Mapping[str, int] = Field(default_factory=dict)
    """Extra pairs of a rare principle: the better passes it, the worse fails it."""
    quota_slack: float = Field(0.0, ge=0)
    """How far the better answer of a quota pair may trail on the overall score."""
    min_margin: float = Field(0.0, ge=0)
    """Least difference of scores within a pair."""
    min_chosen_words: int = Field(0, ge=0)
    """A shorter answer is never preferred."""
    finished_only: bool = False
    """An answer cut off by the length limit is never preferred."""
    tie_break: Literal["moderate_length", "random"] = "moderate_length"
    """Among equal scores, prefer a length near the middle, or chance."""
    seed: int = 0
    """Decides chance."""


class ReviseStage(Config):
    """Answer prompts, criticise each answer under drawn principles, and revise it: data for training."""

    prompts: str
    """File of prompts; a column ``completion`` is the first answer."""
    critic: str | None = None
    """Criticises and revises: a model, or ``endpoint:MODEL@URL``; None = the recipe's model. ``rules``: the
    constitution's rules say what is wrong, and the recipe's model revises."""
    rounds: int = Field(1, ge=1, le=16)
    """Critiques and revisions of each answer; the paper takes four."""
    principles: tuple[str, ...] = ()
    """Draw only from these; empty = all that are active."""
    only_better: bool = False
    """Keep only revisions that pass more of the constitution's rules than the answer."""
    few_shot: bool = True
    """Show worked examples before each request."""
    temperature: float = Field(1.0, ge=0)
    """Of answers, critiques and revisions."""
    max_completion_length: int = Field(256, ge=1)
    """Most tokens of an answer and of a revision."""
    max_critique_length: int = Field(192, ge=1)
    """Most tokens of a critique."""
    seed: int = Field(0, ge=0)
    """Decides which principle is drawn where, and what is sampled."""

    @model_validator(mode="after")
    def _rules_are_asked_nothing(self) -> Self:
        if self.critic == RULES:
            for name in ("few_shot", "max_critique_length", "only_better"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name} has no effect with critic: {RULES}")
        return self


class TrainStage(BaseModel):
    """Train with an algorithm of the catalogue; the other keys are its options."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    algorithm: str
    """Name in ``charter algorithms``."""
    name: str | None = Field(None, pattern=f"^{NAME}$")
    """What later stages call the trained model: ``{name}`` in the model of a sample or train stage, and in
    reward_funcs and critic_model. Needed where a recipe trains more than once."""
    model: str | None = None
    """The model to start from, such as ``{sft}``; None = the recipe's."""
    data: str | None = None
    """A data file; None = the pairs the stages before made."""
    eval_data: str | None = None
    """Evaluation data for eval_steps."""
    objective: str | None = None
    """A loss of one's own, ``mine.py:MyLoss``, in place of the algorithm's."""

    @property
    def given(self) -> dict[str, Any]:
        """The algorithm's options as written."""
        return dict(self.model_extra or {})


class EvaluateStage(_WithJudge):
    """Measure adherence of the trained model and of its base on held-out prompts."""

    prompts: str
    """File of held-out prompts."""
    num_generations: int = Field(1, ge=1)
    """Answers per prompt."""
    temperature: float = Field(0.0, ge=0)
    """0 = greedy."""
    max_completion_length: int = Field(256, ge=1)
    """Most tokens of an answer."""
    unrelated: str | None = None
    """Text for perplexity drift; None = not measured."""
    seed: int = 0
    """Of sampled answers, bootstrap and permutation."""
    labels_random: bool = False
    """The labelled answers were drawn at random from each model's: their labels alone correct its rate."""
    since: str | None = None
    """An older report.json, to tell which tests were removed or reworded since."""
    run: str | None = None
    """Run directory or data file the model was trained with; None = what this recipe's stages made."""

    @model_validator(mode="after")
    def _labels_are_named(self) -> Self:
        if self.labels_random and self.labels is None:
            raise ValueError("labels_random has no effect without labels")
        return self


class ReportStage(Config):
    """Write report.html."""

    title: str | None = None
    """Heading of the page."""


Stage = (
    SampleStage
    | JudgeStage
    | CompareStage
    | ReviseStage
    | TrainStage
    | EvaluateStage
    | ReportStage
    | ReviewStage
)

STAGES: dict[str, type[BaseModel]] = {
    "sample": SampleStage,
    "judge": JudgeStage,
    "compare": CompareStage,
    "revise": ReviseStage,
    "train": TrainStage,
    "evaluate": EvaluateStage,
    "report": ReportStage,
    "review": ReviewStage,
}
