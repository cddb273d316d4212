"""Judged groups to a table of verdicts: per prompt, principle and sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.errors import DataError, did_you_mean
from charter.types import Group, Judgement, SampleTarget, Verdict

MISSING: frozenset[str] = frozenset({"abstained", "error", "not_measured"})
"""Verdicts that say nothing although the principle may apply. They are never counted as 0."""


@dataclass(frozen=True, slots=True)
class PrincipleInfo:
    """What adherence needs to know of a principle.

    Attributes:
        id: its id in the constitution.
        title: its heading.
        level: its level of authority; gates are set per level.
        sha: sha256 of its text, so that a verdict under older words is refused.
        weight: its share in the mean fraction of principles passed.
    """

    id: str
    title: str
    level: str
    sha: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One principle's verdict on one sample."""

    verdict: Verdict
    passed: bool | None = None
    reason: str = ""


UNSPOKEN = Cell("not_measured", reason="no judge spoke on it")


@dataclass(frozen=True, slots=True)
class PromptVerdicts:
    """All verdicts on one model's samples for one prompt.

    ``cells`` holds, per principle id, one cell per sample.
    """

    id: str
    prompt: str
    samples: int
    cells: Mapping[str, tuple[Cell, ...]]

    def passes(self, principle: str) -> list[bool]:
        """The samples the principle was judged on: did each pass?"""
        return [cell.passed for cell in self.cells[principle] if cell.passed is not None]

    def applies(self, principle: str) -> bool:
        """Whether the principle was found to apply, judged or not."""
        return any(cell.verdict in ("judged", "abstained", "error") for cell in self.cells[principle])


def read_verdicts(
    groups: Sequence[Group], principles: Sequence[PrincipleInfo], *, which: str
) -> dict[str, PromptVerdicts]:
    """The verdicts of every group, by group id.

    Judgements without a principle, and those that target pairs or segments, are
    not about adherence and are passed over.

    Args:
        groups: held-out prompts with a model's answers and the judgements on them.
        principles: the constitution's principles, in order.
        which: the model's part, for messages: ``base`` or ``aligned``.

    Raises:
        DataError: a missing or repeated group id, a group without samples, an
            unknown or changed principle, a verdict that is neither pass nor
            fail, or two verdicts on the same sample and principle.
    """
    known = {info.id: info for info in principles}
    table: dict[str, PromptVerdicts] = {}
    for number, group in enumerate(groups, start=1):
        where = f"{which} group {group.id!r}" if group.id else f"{which} group {number}"
        if not group.id:
            raise DataError("group has no id", where=where, fix="give every held-out prompt an id")
        if group.id in table:
            raise DataError("two groups have the same id", where=where, fix="make held-out ids unique")
        if not group.samples:
            raise DataError("group has no samples", where=where, fix="sample at least one answer per prompt")
        spoken = _spoken(group, known, where)
        cells = {
            info.id: tuple(spoken.get((index, info.id), UNSPOKEN) for index in range(len(group.samples)))
            for info in principles
        }
        prompt = group.samples[0].context.text
        table[group.id] = PromptVerdicts(group.id, prompt, len(group.samples), cells)
    return table


def missing_counts(prompts: Sequence[PromptVerdicts], principle: str) -> dict[str, int]:
    """How often a sample got no verdict, by reason: abstained, error, not_measured."""
    counts = Counter(cell.verdict for prompt in prompts for cell in prompt.cells[principle])
    return {verdict: counts[verdict] for verdict in ("abstained", "error", "not_measured")}


def _spoken(group: Group, known: Mapping[str, PrincipleInfo], where: str) -> dict[tuple[int, str], Cell]:
    spoken: dict[tuple[int, str], Cell] = {}
    for judgement in group.judgements:
        if not judgement.principle or not isinstance(judgement.target, SampleTarget):
            continue
        _check(judgement, known, where)
        sample = judgement.target.sample
        if not 0 <= sample < len(group.samples):
            raise DataError(f"judgement on sample {sample} of {len(group.samples)}", where=where)
        key = (sample, judgement.principle)
        if key in spoken:
            raise DataError(
                f"two verdicts on sample {sample} under principle {judgement.principle!r}",
                where=where,
                fix="combine the judges first, or judge the answers once",
            )
        passed = None if judgement.value is None else judgement.value == 1.0
        spoken[key] = Cell(judgement.verdict, passed, judgement.reason)
    return spoken


def _check(judgement: Judgement, known: Mapping[str, PrincipleInfo], where: str) -> None:
    info = known.get(judgement.principle)
    if info is None:
        raise DataError(
            f"judged under unknown principle {judgement.principle!r}",
            where=where,
            fix=did_you_mean(judgement.principle, known),
        )
    if judgement.principle_sha and judgement.principle_sha != info.sha:
        raise DataError(
            f"principle {info.id!r} has changed since this was judged",
            where=where,
            fix="judge the answers again under the present constitution",
        )
    if judgement.value not in (None, 0.0, 1.0):
        raise DataError(
            f"verdict {judgement.value!r} under principle {info.id!r} is neither pass (1) nor fail (0)",
            where=where,
            fix="set a pass mark in the judge",
        )
