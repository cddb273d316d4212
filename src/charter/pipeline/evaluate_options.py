"""What may be said of an evaluation: the same in Python and on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from charter.constitution import Constitution
from charter.engines.base import Sampling
from charter.errors import ConfigError, did_you_mean
from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.labels import Labels
from charter.pipeline.evaluating import CardOf
from charter.pipeline.given_prompts import Prompts

if TYPE_CHECKING:
    from charter.models.policy import Policy


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Everything but the model and the constitution.

    Attributes:
        prompts: held-out prompts; None = the constitution's own tests, of which every kind is then measured
            in its own way as well.
        against: the model before alignment; an adapter is measured against its base by itself.
        num_generations: answers per prompt.
        temperature: 0 = greedy.
        max_completion_length: most tokens of an answer.
        unrelated_text: prose for perplexity drift; "" = not measured.
        seed: of sampled answers, bootstrap and permutation.
        in_context: ask the model after examples: ``urial``, ``urial-plain``, ``urial-chat`` or ``icdpo``.
            It is then measured against itself without them, where ``against`` is not given.
        demonstrations: rows with answers: what ``icdpo`` chooses from, or ``urial`` takes as its examples.
        system_prompt: ask under a constitution, a file or a text; measured in the same way.
        principles: ids of those in question; empty = all. With some left alone no gate is judged.
        changed_from: an older version of the constitution: only what changed since is in question.
        judge: of what rules leave open: a model, ``endpoint:MODEL@URL``, several of these as a panel, or a
            judge that is there already.
        card: of that judge, or its file; of a panel one for each; a judge without one is examined first.
        labels: people's labels of answers, or their file: they calibrate a judge that has no card, examine
            the vote of a panel, and those of the measured answers themselves correct their rates.
        labels_random: those answers were drawn at random from each model's, so that their labels alone
            correct its rate; a column ``assigned`` of the file may say so of each answer.
        since: an older ``report.json``: what changed since is told.
        run: the run directory or data file the model was trained with.
        out: a directory for ``report.json``, ``report.html``, ``evaluation.json`` and the judged answers.
        keep: a directory in which answers and verdicts are written down as they come, so that a stopped
            evaluation goes on from there; None = ``out``, and nowhere where that is None too.
    """

    prompts: Prompts | None = None
    against: Policy | str | None = None
    num_generations: int = 1
    temperature: float = 0.0
    max_completion_length: int = 256
    unrelated_text: str = ""
    seed: int = 0
    in_context: str | None = None
    demonstrations: Any = None
    system_prompt: Constitution | Path | str | None = None
    principles: Sequence[str] = ()
    changed_from: Constitution | str | Path | None = None
    judge: str | Sequence[str] | Judge | None = None
    card: CardOf | Sequence[CardOf] | None = None
    labels: Labels | str | Path | None = None
    labels_random: bool = False
    since: str | Path | None = None
    run: str | Path | None = None
    out: str | Path | None = None
    keep: str | Path | None = None

    def __post_init__(self) -> None:
        if self.num_generations > 1 and self.temperature == 0:
            raise ConfigError(
                f"{self.num_generations} answers at temperature 0 would all be the same",
                where="num_generations",
                fix="sample one answer, or raise the temperature",
            )
        if self.num_generations < 1:
            raise ConfigError(
                f"at least one answer per prompt, not {self.num_generations}", where="num_generations"
            )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From names and values.

        Raises:
            ConfigError: a name that is none of these, with the nearest one.
        """
        known = [one.name for one in fields(cls)]
        for name in given:
            if name not in known:
                raise ConfigError(f"unknown option {name!r}", where="evaluate", fix=did_you_mean(name, known))
        return cls(**given)

    @property
    def sampling(self) -> Sampling:
        """How answers are sampled."""
        return Sampling(
            temperature=self.temperature, max_completion_length=self.max_completion_length, seed=self.seed
        )

    @property
    def folder(self) -> Path | None:
        """Where answers and verdicts are kept; None = nowhere."""
        found = self.out if self.keep is None else self.keep
        return None if found is None else Path(found).expanduser()
