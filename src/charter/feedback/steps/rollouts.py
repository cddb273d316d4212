"""Labels of reasoning steps without people: go on from each step, and see how often it ends well.

Source: Math-Shepherd, Wang et al. 2023 (2312.08935). A step is as good as its chance to reach the
right answer: soft labels are the share of N continuations that do, hard labels whether any does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from charter.data.render import Template
from charter.data.step_tokens import segments_of
from charter.data.steps import split_steps
from charter.engines.base import Engine, Sampling
from charter.errors import ConfigError, DataError, UserError
from charter.interrupt import current
from charter.objectives.process import math_shepherd_labels
from charter.progress import progress, say
from charter.rundir import append_jsonl, read_jsonl, sha256_json, write_jsonl
from charter.types import Content, Context, Group, Message, Sample

Grader = Callable[[str, Group], bool | None]
"""Whether a whole solution (its text) of a group's problem is right; None = cannot be told."""

Estimate = Literal["soft", "hard"]

_SAMPLING = Sampling(max_completion_length=512)
_BATCH = 8
NUL = "\0"
"""What a model may write, and no data file may hold."""


@dataclass(frozen=True, slots=True)
class StepLabels:
    """Rows to train ``process-reward`` on, and what was counted on the way.

    Attributes:
        rows: ``id``, ``prompt``, ``completions`` (the steps), ``labels`` (None where no continuation
            could be graded) and ``rollouts``: for each step how many were right, and how many graded.
        counts: solutions, steps, continuations, and what was left out.
    """

    rows: list[dict[str, Any]]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Solution:
    """One solution, cut into steps."""

    key: str
    group: Group
    sample: Sample
    steps: tuple[str, ...]


@dataclass(frozen=True)
class StepRollouts:
    """Labels the steps of solutions by sampling on from each of them.

    After the last step there is nothing to sample: the solution itself is graded. A solution's
    steps are the segments that are judged of it, else its text cut at ``separator``; blank ones
    are dropped, and what is continued is the steps joined by the separator.

    Attributes:
        engine: continues; Math-Shepherd's completer.
        template: of its model.
        grader: see :data:`Grader`. One that raises counts as one that cannot tell.
        n: continuations of each prefix; the paper takes 8.
        estimate: ``soft`` or ``hard``.
        separator: between two steps.
        sampling: how continuations are sampled; its seed makes them repeatable.
        batch: solutions continued together.
        budget: most continuations to sample; solutions are drawn by the sampling's seed until the next one
            would exceed it, and the others are left out and counted. None = all.
    """

    engine: Engine
    template: Template
    grader: Grader
    n: int = 8
    estimate: Estimate = "soft"
    separator: str = "\n"
    sampling: Sampling = _SAMPLING
    batch: int = _BATCH
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.n < 1 or self.batch < 1:
            raise ConfigError(f"n and batch are at least 1, not {self.n} and {self.batch}")
        if self.budget is not None and self.budget < self.n:
            raise ConfigError(
                f"a budget of {self.budget} continuations is not enough for one step's {self.n}",
                where="budget",
            )
        if self.estimate not in ("soft", "hard"):
            raise ConfigError(f"estimate is 'soft' or 'hard', not {self.estimate!r}")
        if not self.separator:
            raise ConfigError("the separator of steps is empty")

    def label(self, groups: Sequence[Group], path: Path) -> StepLabels:
        """Label every solution and write the rows to ``path``.

        What is finished is kept beside it, in ``<path>.partial``, so that a labelling that was stopped
        goes on where it was and ends with the same rows.

        Args:
            groups: problems, each with one or more solutions; ``meta`` is for the grader.
            path: a JSONL file that ``process-reward`` reads.

        Raises:
            DataError: no solution has a step, or none of them could be graded.
            Interrupted: the person asked to stop; finished batches are kept.
            UserError: the partial file is of other settings.
        """
        solutions = [found for place, group in enumerate(groups) for found in self._solutions(place, group)]
        found = Counter({"solutions": sum(len(group.samples) for group in groups)})
        found["solutions left out: no step"] = found["solutions"] - len(solutions)
        kept = [one for one in solutions if not any(NUL in step for step in one.steps)]
        found["solutions left out: a NUL character"] = len(solutions) - len(kept)
        solutions = kept
        if not solutions:
            raise DataError("no solution has a step to label", fix="check the separator")
        solutions, over = within_budget(solutions, self.n, self.budget, self.sampling.seed)
        found["solutions left out: over the budget"] = over
        if not solutions:
            raise DataError("no solution is short enough for the budget", fix="raise it, or lower n")
        path.parent.mkdir(parents=True, exist_ok=True)
        done = self._sampled(solutions, path.with_name(path.name + ".partial"))
        rows = [self._row(solution, done[solution.key]) for solution in solutions]
        graded = [row for row in rows if any(label is not None for label in row["labels"])]
        found["solutions left out: nothing could be graded"] = len(rows) - len(graded)
        found["steps"] = sum(len(row["labels"]) for row in graded)
        found["steps without a label"] = sum(row["labels"].count(None) for row in graded)
        for record in done.values():
            found.update(record["counts"])
        if not graded:
            raise DataError("no continuation and no solution could be graded", fix="check the grader")
        write_jsonl(path, graded)
        counts = {name: count for name, count in found.items() if count}
        say("step labels: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
        return StepLabels(graded, counts)

    # -- sampling ----------------------------------------------------------

    def _sampled(self, solutions: Sequence[_Solution], path: Path) -> dict[str, Any]:
        """For each solution's key, what its continuations came to; appended to ``path`` batch by batch."""
        settings = sha256_json(
            [self.n, self.sampling.model_dump(mode="json"), self.separator, self.batch]
            + [solution.key for solution in solutions]
        )
        done: dict[str, Any] = {}
        for record in read_jsonl(path):
            if record.get("settings") != settings:
                raise UserError(
                    "these labels were begun with other solutions or other settings",
                    where=str(path),
                    fix="use the same ones to go on, or remove the file",
                )
            done[record["key"]] = record
        with progress("step rollouts", len(solutions), done=len(done)) as advance:
            # Batches are cut from all solutions, never from what is left, so that stopping changes nothing.
            for start in range(0, len(solutions), self.batch):
                batch = solutions[start : start + self.batch]
                if all(solution.key in done for solution in batch):
                    continue
                current().check("stopped between solutions", fix="run it again to continue")
                for solution, record in zip(batch, self._continued(batch), strict=True):
                    if solution.key not in done:
                        done[solution.key] = {"key": solution.key, "settings": settings, **record}
                        append_jsonl(path, done[solution.key])
                        advance(1)
        return done

    def _continued(self, batch: Sequence[_Solution]) -> Iterator[dict[str, Any]]:
        """For each solution, how many continuations of each step were right, and how many graded."""
        contexts = [c for solution in batch for c in self._prefixes(solution)]
        groups = iter(self.engine.generate(contexts, self.n, self.sampling) if contexts else [])
        for solution in batch:
            counts: Counter[str] = Counter()
            marks = []
            for end in range(1, len(solution.steps)):
                prefix = self._joined(solution.steps[:end])
                samples = next(groups).samples
                counts["continuations"] += len(samples)
                counts["continuations cut by the limit"] += sum(
                    sample.completion.finish_reason == "length" for sample in samples
                )
                texts = [prefix + sample.completion.text for sample in samples]
                marks.append([self._graded(text, solution.group, counts) for text in texts])
            whole = self.separator.join(solution.steps)
            marks.append([self._graded(whole, solution.group, counts)])
            yield {"marks": marks, "counts": dict(counts)}

    def _prefixes(self, solution: _Solution) -> Iterator[Context]:
        """The prompt and the first steps, for every step but the last."""
        context = solution.sample.context
        prompt = context.token_ids or self.template.render_context(context.content)
        for end in range(1, len(solution.steps)):
            text = self._joined(solution.steps[:end])
            ids = (*prompt, *self.template.special.encode_plain(text))
            content: Content
            if isinstance(context.content, str):
                content = context.content + text
            else:
                content = (*context.content, Message("assistant", text))
            yield Context(content, ids)

    def _joined(self, steps: Sequence[str]) -> str:
        return "".join(step + self.separator for step in steps)

    def _graded(self, text: str, group: Group, counts: Counter[str]) -> int | None:
        try:
            right = self.grader(text, group)
        except Exception as error:  # one solution that breaks the grader must not end the labelling
            if not counts["grader errors"]:
                say(f"step labels: the grader failed ({type(error).__name__}: {error})")
            counts["grader errors"] += 1
            return None
        if right is None:
            counts["not gradable"] += 1
            return None
        return int(right)

    # -- solutions and rows ------------------------------------------------

    def _solutions(self, place: int, group: Group) -> Iterator[_Solution]:
        """The group's solutions that have steps."""
        for index, sample in enumerate(group.samples):
            text = sample.completion.text
            judged = [text[target.start : target.end] for _, target in segments_of(group, index)]
            rendered = bool(sample.completion.token_ids)  # segments are then in tokens
            steps = split_steps(text, self.separator) if rendered or not judged else judged
            steps = [step for step in steps if step.strip()]
            if steps:
                key = sha256_json([place, group.id, index, _plain(sample.context.content), steps])
                yield _Solution(key, group, sample, tuple(steps))

    def _row(self, solution: _Solution, record: dict[str, Any]) -> dict[str, Any]:
        """A row that the reader of steps takes."""
        labels: list[float | None] = []
        rollouts = []
        for marks in record["marks"]:
            known = [mark for mark in marks if mark is not None]
            rollouts.append([sum(known), len(known)])
            if known:
                soft, hard = math_shepherd_labels(torch.tensor([known], dtype=torch.float64))
                labels.append(float(soft if self.estimate == "soft" else hard))
            else:
                labels.append(None)
        return {
            "id": solution.group.id,
            "prompt": _plain(solution.sample.context.content),
            "completions": list(solution.steps),
            "labels": labels,
            "rollouts": rollouts,
        }


def within_budget(
    solutions: Sequence[_Solution], n: int, budget: int | None, seed: int
) -> tuple[list[_Solution], int]:
    """Solutions whose continuations the budget takes, in their order, and how many it does not take.

    They are drawn at random, so that long solutions and late problems are not the ones left out; the first
    that does not fit ends the draw, so that short ones are not preferred.
    """
    if budget is None:
        return list(solutions), 0
    order = random.Random(seed).sample(range(len(solutions)), len(solutions))
    taken: set[int] = set()
    left = budget
    for place in order:
        left -= n * (len(solutions[place].steps) - 1)
        if left < 0:
            break
        taken.add(place)
    return [one for place, one in enumerate(solutions) if place in taken], len(solutions) - len(taken)


def _plain(content: Content) -> str | list[dict[str, str]]:
    if isinstance(content, str):
        return content
    return [{"role": turn.role, "content": turn.content} for turn in content]
