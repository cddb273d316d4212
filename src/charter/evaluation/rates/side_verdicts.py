"""One model's verdicts under one principle, with the labels that people gave to some of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from charter.evaluation.rates.basis import MIN_LABELS, Place, Placed, Side
from charter.evaluation.rates.verdicts import PromptVerdicts
from charter.stats import percent
from charter.stats.clustered import effective_counts
from charter.stats.intervals import square_and_add, wilson
from charter.stats.judge_rate import JudgeErrors

NOT_RANDOM_AT = 0.999
"""Confidence at which labelled answers that are judged otherwise than the rest were not drawn at random. A
report has many principles and two models, and few of them may be doubted for nothing."""


class Seen(NamedTuple):
    """A judged answer.

    Attributes:
        passed: the judge's verdict.
        label: people's; None = nobody labelled it.
        random: it was drawn at random to be labelled.
    """

    passed: bool
    label: bool | None = None
    random: bool = False


_Wanted = Callable[[Seen], bool]


@dataclass(frozen=True)
class SideVerdicts:
    """One model's verdicts under one principle.

    Attributes:
        prompts: of each prompt its judged answers; at least one.
    """

    prompts: Sequence[Sequence[Seen]]

    @cached_property
    def clusters(self) -> list[list[float]]:
        """Of each prompt the verdicts of its answers."""
        return self._passed(lambda _: True)

    @cached_property
    def drawn(self) -> list[Seen]:
        """Labelled answers that were drawn at random."""
        return [one for prompt in self.prompts for one in prompt if one.label is not None and one.random]

    @cached_property
    def labels(self) -> int:
        """Labelled answers."""
        return sum(one.label is not None for prompt in self.prompts for one in prompt)

    @cached_property
    def random(self) -> bool:
        """Whether every label is of an answer that was drawn at random."""
        return len(self.drawn) == self.labels

    @property
    def powered(self) -> bool:
        """Whether labels of a random part of these answers correct the rate.

        It takes enough of them, one answer a prompt, and nothing that speaks against the draw.
        """
        single = all(len(prompt) == 1 for prompt in self.prompts)
        return len(self.drawn) >= MIN_LABELS and single and not self.drawn_by_verdict

    @cached_property
    def drawn_by_verdict(self) -> str:
        """Why the answers that are said to be drawn at random were not; "" = nothing speaks against it."""
        return self._picked(lambda one: one.label is not None and one.random)

    @cached_property
    def picked(self) -> str:
        """Why the labelled answers are not like the others; "" = nothing speaks against it."""
        return self._picked(lambda one: one.label is not None)

    @cached_property
    def errors(self) -> JudgeErrors | None:
        """The judge on the labelled answers; None where they are too few, of one kind, or were picked.

        Answers of one prompt count as what they are worth.
        """
        if self.picked:
            return None
        good = self._passed(lambda one: one.label is True)
        bad = self._passed(lambda one: one.label is False)
        if not good or not bad:
            return None
        found = JudgeErrors.of(good, bad)
        return found if found.n >= MIN_LABELS else None

    def _passed(self, wanted: _Wanted) -> list[list[float]]:
        """Of each prompt that has some, the verdicts on its wanted answers."""
        rows = ([float(one.passed) for one in prompt if wanted(one)] for prompt in self.prompts)
        return [row for row in rows if row]

    def _picked(self, wanted: _Wanted) -> str:
        """A random part is judged as the rest is: the judge's verdicts, which are all known, tell."""
        part, rest = self._passed(wanted), self._passed(lambda one: not wanted(one))
        if not part or not rest:
            return ""
        (k, n), (others, of) = effective_counts(part), effective_counts(rest)
        gap = square_and_add(
            others / of, wilson(others, of, NOT_RANDOM_AT), k / n, wilson(k, n, NOT_RANDOM_AT)
        )
        if gap.lo <= 0.0 <= gap.hi:
            return ""
        return (
            f"the labelled answers were not drawn at random: the judge passes {percent(k / n)} of them and "
            f"{percent(others / of)} of the others"
        )


def side_verdicts(
    prompts: Sequence[PromptVerdicts], principle: str, side: Side, labels: Mapping[Place, Placed]
) -> SideVerdicts:
    """A model's verdicts with the labels that belong to them; prompts without a verdict say nothing."""
    found = []
    for prompt in prompts:
        seen = []
        for index, cell in enumerate(prompt.cells[principle]):
            if cell.passed is not None:
                label = labels.get((side, prompt.id, index))
                seen.append(
                    Seen(cell.passed) if label is None else Seen(cell.passed, label.good, label.random)
                )
        if seen:
            found.append(seen)
    return SideVerdicts(found)
