"""Feedback from a trained process reward model: how good each step is, and the answer by its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from charter.data.steps import spans, split_steps, stepped, token_spans
from charter.errors import ConfigError
from charter.feedback.forward import TOKENS, rewards_of
from charter.feedback.trained.reading import require
from charter.models.policy import Policy
from charter.objectives.process import Solution, solution_scores
from charter.types import Group, Judgement, Sample, SampleTarget, SegmentTarget


@dataclass(frozen=True)
class ProcessJudge:
    """Judges every step of every answer, and the answer by the product, minimum or last of its steps.

    The text is cut at ``step_separator`` and tokenised step by step as in training, whatever tokens it was
    sampled as.

    Attributes:
        policy: the trained model, with its reward head.
        step_separator: as in training.
        solution: see :data:`charter.objectives.process.Solution`.
        tokens: stream tokens computed at once.
        name: ``judge`` of the judgements.
    """

    policy: Policy
    step_separator: str = "\n"
    solution: Solution = "min"
    tokens: int = TOKENS
    name: str = "process-reward"

    def __post_init__(self) -> None:
        if self.solution not in ("product", "min", "last"):
            raise ConfigError(f"solution is 'product', 'min' or 'last', not {self.solution!r}")
        require(self.policy, "process")

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """A judgement of each sample, then of each of its steps; value and probability are the same.

        Segments are in the sample's own tokens where it has some, else in characters of its text.
        A sample without a step is ``not_applicable``.
        """
        answers = [sample for group in groups for sample in group.samples]
        steps = [split_steps(sample.completion.text, self.step_separator) for sample in answers]
        found = iter(self._logits(answers, steps))
        return [
            [
                said
                for index, sample in enumerate(group.samples)
                for said in self._judgements(index, sample, next(found))
            ]
            for group in groups
        ]

    def _logits(self, answers: Sequence[Sample], steps: Sequence[list[str]]) -> list[torch.Tensor]:
        """Logits of the steps of every answer, ``(S,)`` each."""
        rendered, reads = [], []
        for sample, parts in zip(answers, steps, strict=True):
            if parts:
                said = [
                    Judgement(SegmentTarget(0, *place), 1.0) for place in spans(parts, self.step_separator)
                ]
                made = stepped(sample.context, parts, self.step_separator)
                group = self.policy.template.render(Group((made,), tuple(said)))
                rendered.append(group.samples[0])
                reads.append([at for at, ends in enumerate(rendered[-1].completion.trained) if ends])
        scored = iter(rewards_of(self.policy, rendered, reads, self.tokens))
        return [next(scored)[:, 0] if parts else torch.empty(0) for parts in steps]

    def _judgements(self, index: int, sample: Sample, logits_S: torch.Tensor) -> list[Judgement]:
        if not len(logits_S):
            why = "the answer has no step"
            return [Judgement(SampleTarget(index), verdict="not_applicable", judge=self.name, reason=why)]
        steps_S = torch.zeros(len(logits_S), dtype=torch.long)
        whole = float(solution_scores(logits_S.double(), steps_S, 1, self.solution)[0])
        said = [
            Judgement(
                SampleTarget(index),
                whole,
                probability=whole,
                judge=self.name,
                reason=f"{self.solution} of {len(logits_S)} steps",
            )
        ]
        for place, value in zip(self._places(sample), logits_S.double().sigmoid().tolist(), strict=True):
            said.append(Judgement(SegmentTarget(index, *place), value, probability=value, judge=self.name))
        return said

    def _places(self, sample: Sample) -> list[tuple[int, int]]:
        """Where the steps are in the sample itself."""
        text = sample.completion.text
        places, at = [], 0
        for step in split_steps(text, self.step_separator):
            start = text.index(step, at)
            at = start + len(step)
            places.append((start, at))
        ids = sample.completion.token_ids
        if not ids:
            return places
        decode = self.policy.tokenizer.decode
        return token_spans(ids, lambda part: decode(list(part), skip_special_tokens=True), places)
