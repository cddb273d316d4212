"""The language model in the pluralism study: where it is, how it is trained and asked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pluralism_budget import Budget

import charter
from charter.errors import DataError
from charter.evaluation.pluralism.asking import SurveyTaker
from charter.evaluation.pluralism.wording import Asked
from charter.evaluation.suite.distance import between
from charter.feedback.judging.local import LocalJudge
from charter.models.policy import Policy
from charter.rundir import read_jsonl
from charter.types import Group

LORA: Mapping[str, Any] = {"use_peft": True, "lr_scheduler_type": "cosine", "warmup_steps": 0.1}

Result = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """Where and with what.

    Attributes:
        model: the language model.
        cache: folder of finished cells.
        budget: see :class:`Budget`.
        bf16: compute in bfloat16.
    """

    model: str
    cache: Path
    budget: Budget
    bf16: bool = True

    def load(self) -> Policy:
        """The language model as it comes."""
        return charter.load(self.model, bf16=self.bf16)


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        name: ``kind/...``, which is also its file.
        run: measures it.
    """

    name: str
    run: Callable[[Study], Result]

    @property
    def kind(self) -> str:
        """The part of the study."""
        return self.name.split("/")[0]

    def file(self, cache: Path) -> Path:
        """Where its result is kept."""
        return cache / f"{self.name.replace('/', '__').replace(' ', '_')}.json"


def trained(
    study: Study,
    algorithm: str,
    rows: Sequence[dict[str, Any]],
    seed: int,
    metrics: dict[str, float] | None = None,
    **options: Any,
) -> Policy:
    """The model after training with LoRA; ``metrics`` takes the last step's."""
    with tempfile.TemporaryDirectory() as folder:
        run = charter.train(
            algorithm,
            study.load(),
            list(rows),
            output_dir=Path(folder) / "run",
            seed=seed,
            bf16=study.bf16,
            **LORA,
            **options,
        )
        if metrics is not None:
            metrics |= read_jsonl(run.path / "metrics.jsonl")[-1]
    return run.policy


class LetterJudge(LocalJudge):
    """Reads the probability of an option's letter whatever follows it.

    What was trained to go on after the letter (a belief) would else be held to stop there.
    """

    def _branches(self, question: Any, options: Sequence[str]) -> Group:
        group = super()._branches(question, options)
        samples = []
        for sample in group.samples:
            done = sample.completion
            first = done.trained.index(True) + 1
            short = replace(done, token_ids=done.token_ids[:first], trained=done.trained[:first])
            samples.append(replace(sample, completion=short))
        if len({one.completion.token_ids for one in samples}) < len(samples):
            raise DataError("letters of options begin with the same token", fix="use another model")
        return replace(group, samples=tuple(samples))


def taker_of(policy: Policy) -> SurveyTaker:
    """Puts questions to the model, by the probability of letters in both orders."""
    return SurveyTaker(LetterJudge(policy))


def distances(
    taker: SurveyTaker, asked: Sequence[Asked], wanted: Mapping[str, Sequence[float]]
) -> tuple[dict[str, float], int]:
    """Jensen-Shannon distance by question's text, and how many the model did not answer."""
    spreads = taker(asked)
    found = {
        one.question.text: between(spread.shares, wanted[one.question.text]).js
        for one, spread in zip(asked, spreads, strict=True)
        if spread.measured
    }
    return found, len(asked) - len(found)
