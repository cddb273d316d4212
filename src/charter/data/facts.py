"""What in a data set decides which method fits it; numbers only, no advice."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charter.data.findings import answer_text
from charter.data.formats import LoadedData
from charter.data.people_groups import GROUP
from charter.stats.intervals import Interval, wilson
from charter.types import Group, Judgement, PairTarget, SampleTarget

CHOSEN_SCORE, MODEL_SCORE = "chosen_score", "model_score"
"""Columns with one judge's scores of the chosen answer and of the model's own answer to the prompt."""

ANSWER_COLUMNS = ("answer", "solution", "ground_truth", "final_answer", "target")
"""Columns of prompts in which right answers are looked for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Measured on a data set.

    Attributes:
        name: the source.
        kind: its format.
        rows: groups read.
        prompts: distinct prompts.
        answers: most answers to one prompt in a row.
        pairs: preferences in it.
        margins: distinct margins of pairs; 1 where they say nothing.
        objectives: names that answers are rated on beside the preference.
        beliefs: rows say what people believe and how many do.
        people: pairs of each group of people (column ``group``), the smallest first; empty where not every
            row names one, or all name the same.
        people_differ: share of the comparisons that several groups judged in which they prefer different
            answers, with its 95% interval; None = there is no such comparison.
        desirable, undesirable: labels of answers one by one.
        repeated: comparisons of two answers that were judged more than once by the same people.
        disagreement: share of such comparisons whose judgements differ, with its 95% interval.
        flip_rate: how often a label is wrong, estimated from that; None where it is unknown.
        longer_wins: share of pairs of different length whose better answer is the longer, with interval.
        length_ratio: how many times longer the better answer is, geometric mean.
        standing: mean of the chosen answers' score less the model's own, with interval; None = unknown.
        standing_by: where that comes from.
        checkable: prompts whose right answer is known.
        checked_by: the reward that checks an answer against it; "" = none.
    """

    name: str
    kind: str
    rows: int
    prompts: int
    answers: int = 1
    pairs: int = 0
    margins: int = 1
    objectives: tuple[str, ...] = ()
    beliefs: bool = False
    people: tuple[tuple[str, int], ...] = ()
    people_differ: tuple[float, float, float] | None = None
    desirable: int = 0
    undesirable: int = 0
    repeated: int = 0
    disagreement: tuple[float, float, float] | None = None
    flip_rate: float | None = None
    longer_wins: tuple[float, float, float] | None = None
    length_ratio: float | None = None
    standing: tuple[float, float, float] | None = None
    standing_by: str = ""
    checkable: int = 0
    checked_by: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def facts_of(loaded: LoadedData) -> Facts:
    """Measure a loaded data set; see :class:`Facts`."""
    groups = loaded.groups
    pairs = [(g, j, j.target) for g in groups for j in g.judgements if isinstance(j.target, PairTarget)]
    labels = Counter(
        j.value for g in groups for j in g.judgements if loaded.kind == "unpaired" and j.verdict == "judged"
    )
    votes = _votes(pairs)
    asked = [both for by_people in votes.values() for both in by_people.values() if sum(both) > 1]
    shared = [list(by_people.values()) for by_people in votes.values() if len(by_people) > 1]
    differ = sum(min(votes) > 0 for votes in asked)
    lengths = [(_words(g, t.better), _words(g, t.worse)) for g, _, t in pairs]
    uneven = [(a, b) for a, b in lengths if a != b]
    scores = recorded_standing(groups)
    checkable, checked_by = _checkable(loaded)
    return Facts(
        name=loaded.name,
        kind=loaded.kind,
        rows=len(groups),
        prompts=len({g.samples[0].context.content for g in groups}),
        answers=max((len(g.samples) for g in groups), default=0),
        pairs=len(pairs),
        margins=len({j.value for _, j, _ in pairs}) or 1,
        objectives=_objectives(loaded),
        beliefs=all({"beliefs", "p_star"} <= set(g.meta) for g in groups),
        people=_people(groups, pairs),
        people_differ=_rate(sum(map(_differ, shared)), len(shared)),
        desirable=labels[1.0],
        undesirable=labels[0.0],
        repeated=len(asked),
        disagreement=_rate(differ, len(asked)),
        flip_rate=flip_rate(differ, len(asked)),
        longer_wins=_rate(sum(a > b for a, b in uneven), len(uneven)),
        length_ratio=_ratio(uneven),
        standing=None if scores is None else mean_interval(scores),
        standing_by="" if scores is None else f"columns {CHOSEN_SCORE} and {MODEL_SCORE}",
        checkable=checkable,
        checked_by=checked_by,
    )


def flip_rate(differ: int, repeated: int) -> float | None:
    """How often one label is wrong, where ``differ`` of ``repeated`` comparisons judged twice disagree.

    Two labels that are each wrong with probability ``e`` differ with probability ``2 e (1 - e)``.
    """
    if not repeated:
        return None
    rate = min(differ / repeated, 0.5)
    return (1 - math.sqrt(1 - 2 * rate)) / 2


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean with its 95% normal interval."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, -math.inf, math.inf
    variance = math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
    half = 1.96 * math.sqrt(variance / len(values))
    return mean, mean - half, mean + half


def recorded_standing(groups: Sequence[Group]) -> list[float] | None:
    """The chosen answer's score less the model's own, of every row that has both; None where none has."""
    found = [
        float(g.meta[CHOSEN_SCORE]) - float(g.meta[MODEL_SCORE])
        for g in groups
        if all(isinstance(g.meta.get(name), int | float) for name in (CHOSEN_SCORE, MODEL_SCORE))
    ]
    return found or None


def _checkable(loaded: LoadedData) -> tuple[int, str]:
    """How many prompts carry a right answer, and the built-in reward that checks against it."""
    if loaded.kind != "prompts":
        return 0, ""
    tasks = sum("reasoning_gym" in g.meta for g in loaded.groups)
    if tasks:
        return tasks, "reasoning-gym"
    counts = {c: sum(g.meta.get(c) not in (None, "") for g in loaded.groups) for c in ANSWER_COLUMNS}
    column = max(counts, key=lambda name: counts[name])
    if not counts[column]:
        return 0, ""
    return counts[column], "accuracy" if column == "answer" else f"accuracy:column={column}"


def _votes(
    pairs: Sequence[tuple[Group, Judgement, PairTarget]],
) -> dict[Hashable, dict[str, tuple[int, int]]]:
    """For each comparison of two answers, by group of people: votes for the one and for the other.

    Two groups that prefer different answers disagree; that is no wrong label.
    """
    votes: dict[Hashable, dict[str, tuple[int, int]]] = defaultdict(dict)
    for group, judgement, target in pairs:
        better, worse = (str(group.samples[i].completion.content) for i in (target.better, target.worse))
        if better == worse:
            continue
        context = group.samples[target.better].context.content
        first, second = sorted((better, worse))
        people = votes[(context, first, second, judgement.principle)]
        one, other = people.get(_whose(group), (0, 0))
        people[_whose(group)] = (one + (better == first), other + (better != first))
    return votes


def _differ(by_people: Sequence[tuple[int, int]]) -> bool:
    """Whether one group prefers the one answer and another the other; a group that is split prefers none."""
    return any(a > b for a, b in by_people) and any(a < b for a, b in by_people)


def _people(
    groups: Sequence[Group], pairs: Sequence[tuple[Group, Judgement, PairTarget]]
) -> tuple[tuple[str, int], ...]:
    if not all(_whose(group) for group in groups):
        return ()
    counts = Counter(_whose(group) for group, _, _ in pairs)
    found = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    return tuple(found) if len(found) > 1 else ()


def _whose(group: Group) -> str:
    name = group.meta.get(GROUP)
    return "" if name is None else str(name).strip()


def _objectives(loaded: LoadedData) -> tuple[str, ...]:
    if loaded.kind != "preference":
        return ()
    rated = {
        j.principle
        for g in loaded.groups
        for j in g.judgements
        if isinstance(j.target, SampleTarget) and j.principle
    }
    return tuple(sorted(rated))


def _rate(count: int, total: int) -> tuple[float, float, float] | None:
    if not total:
        return None
    interval: Interval = wilson(count, total)
    return count / total, interval.lo, interval.hi


def _ratio(lengths: Sequence[tuple[int, int]]) -> float | None:
    logs = [math.log(a / b) for a, b in lengths if a and b]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _words(group: Group, index: int) -> int:
    return len(answer_text(group.samples[index].completion).split())
