"""What may be said about a trained judge when it is named, by its kind; torch is not needed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from charter.config import Config, validate
from charter.errors import ConfigError
from charter.models.trained_as import Kind, TrainedAs

_TERM = re.compile(r"(?:(?P<weight>[0-9.][0-9.eE+-]*)\s*\*\s*)?(?P<name>\S.*)")


def read_weights(value: Any) -> Any:
    """``0.6*helpful+0.4*harmless`` as a mapping; a name alone weighs 1.

    Raises:
        ValueError: a part that is neither, or a name twice.
    """
    if not isinstance(value, str):
        return value
    found: dict[str, float] = {}
    for part in re.split(r"\+(?=\s*(?:[0-9.]+\s*\*|[^\W\d]))", value):
        term = _TERM.fullmatch(part.strip())
        if term is None:
            raise ValueError(f"{value!r} must look like 0.6*helpful+0.4*harmless")
        try:
            weight = float(term["weight"] or 1)
        except ValueError:
            raise ValueError(f"{term['weight']!r} is no weight") from None
        if term["name"] in found:
            raise ValueError(f"{term['name']!r} has two weights")
        found[term["name"]] = weight
    return found


Weights = Annotated[dict[str, float] | None, BeforeValidator(read_weights)]


class OutcomeOptions(Config):
    """Options of one reward model."""

    weights: Weights = None
    """Of its dimensions by name, ``0.6*helpful+0.4*harmless``; one that is not named weighs 0. None = all
    the same."""


class EnsembleOptions(OutcomeOptions):
    """Options of several reward models."""

    combine: Literal["mean", "worst", "uncertainty"] = "mean"
    """Their mean, the worst, or the mean less ``coef`` times their variance (2310.02743)."""
    coef: float | None = Field(None, ge=0)
    """Weight of the variance. The authors take 0.5 to choose among samples and 0.1 to train on."""

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if self.coef is not None and self.combine != "uncertainty":
            raise ValueError("coef has no effect without combine=uncertainty")
        return self


class WrittenOptions(Config):
    """Options of judges that write before they judge."""

    critiques: int = Field(1, ge=1)
    """Texts sampled for each question; their judgements are averaged."""
    temperature: float = Field(1.0, ge=0)
    """Of the sampling; 0 = greedy."""
    max_completion_length: int = Field(256, ge=1)
    """Most tokens of a text."""
    seed: int = Field(0, ge=0)
    """Of the sampling."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.temperature == 0 and self.critiques > 1:
            raise ValueError("at temperature 0 all critiques are the same: critiques has no effect")
        return self


class CritiqueOptions(WrittenOptions):
    """Options of critique-then-score models."""


class ProcessOptions(Config):
    """Options of process reward models."""

    solution: Literal["min", "last", "product"] = "min"
    """The answer's score by those of its steps: the worst, the last, or all multiplied."""


class VerdictOptions(Config):
    """Options of verifiers that give their verdict at once: none."""


class ReasonedVerdictOptions(WrittenOptions):
    """Options of verifiers that give reasons first."""

    majority: bool = False
    """Score by the share of positive verdicts, not by their mean probability."""

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if self.majority and self.critiques < 2:
            raise ValueError("majority has no effect on one critique")
        return self


class PairwiseOptions(Config):
    """Options of judges that compare two answers."""

    pairs: Literal["all", "tournament"] = "all"
    """Everyone against everyone, or single elimination, which chooses one answer and scores none."""


class ReasonedPairwiseOptions(PairwiseOptions, WrittenOptions):
    """Options of judges that compare two answers after reasons."""


_OPTIONS: Mapping[Kind, tuple[type[Config], type[Config]]] = {
    "outcome": (OutcomeOptions, OutcomeOptions),
    "critique": (CritiqueOptions, CritiqueOptions),
    "process": (ProcessOptions, ProcessOptions),
    "verdict": (VerdictOptions, ReasonedVerdictOptions),
    "pairwise": (PairwiseOptions, ReasonedPairwiseOptions),
}
"""By kind: without and with reasons."""

_ONE_MODEL = {"combine", "coef"}
_WRITERS = {"critiques", "temperature", "max_completion_length", "seed", "majority"}


def options_of(trained: TrainedAs | None, models: int, values: Mapping[str, Any], where: str) -> Config:
    """Checked options of ``models`` checkpoints of one kind; None = an outcome reward model.

    Raises:
        ConfigError: an unknown option, or one that this kind does not have.
    """
    kind: Kind = "outcome" if trained is None else trained.kind
    reasons = trained is not None and trained.reasons
    made = EnsembleOptions if models > 1 else _OPTIONS[kind][reasons]
    for name in values:
        if name in made.model_fields:
            continue
        if name in _ONE_MODEL and kind == "outcome":
            raise ConfigError(
                f"{name} has no effect on one reward model", where=where, fix="name several: ensemble:A+B"
            )
        if name in _WRITERS and trained is not None and kind in ("verdict", "pairwise") and not reasons:
            raise ConfigError(
                f"{name} has no effect: {trained.algorithm} was trained to judge without writing first",
                where=where,
                fix="train it on reasons (columns critique, rationale), or leave the option out",
            )
        for other, kinds in _OPTIONS.items():
            if name in kinds[1].model_fields:
                raise ConfigError(
                    f"{name} is an option of {_NAMES[other]}, and this is {_NAMES[kind]}", where=where
                )
    return validate(made, dict(values), where=where)


_NAMES: Mapping[Kind, str] = {
    "outcome": "an outcome reward model",
    "critique": "a critique-then-score model",
    "process": "a process reward model",
    "verdict": "a verifier",
    "pairwise": "a judge of pairs",
}
