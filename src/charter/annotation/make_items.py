"""Items from groups of sampled answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from charter.annotation.options import Mode
from charter.annotation.task import Task
from charter.constitution import Constitution, Principle
from charter.errors import DataError
from charter.records import is_groups_file, read_groups
from charter.types import Content, Group, PairTarget, Sample, SampleTarget

MOST_RANKED = 8
"""Most answers that are ranked at once."""
Counts = Counter[str]
_SAME = "left out: answers that read the same"
_ALONE = "left out: one answer, and two are compared"
_EMPTY = "left out: an empty answer"
_TWICE = "left out: there already"


def read_answers(paths: Sequence[Path]) -> list[tuple[str, Group]]:
    """Every group with the name of its file; a group's ``meta["source"]`` is used in its place.

    Raises:
        DataError: no such file, or not one of sampled groups.
    """
    found: list[tuple[str, Group]] = []
    for path in paths:
        if not path.is_file():
            raise DataError("no such file", where=str(path))
        if not is_groups_file(path):
            raise DataError(
                "no sampled groups in the first line",
                where=str(path),
                fix="give what `charter sample` wrote (.jsonl)",
            )
        groups = read_groups(path)
        found += [(str(group.meta.get("source") or path.stem), group) for group in groups]
    if not found:
        raise DataError("no answers to label", fix="give --answers GROUPS.jsonl")
    return found


def make_tasks(
    answers: Sequence[tuple[str, Group]],
    modes: Sequence[Mode],
    principles: Sequence[Principle | None],
    *,
    pairs_per_group: int = 1,
    seed: int = 0,
) -> tuple[list[Task], Counts]:
    """A task for each mode, principle and comparison; what was left out, counted.

    Args:
        answers: groups, and where each comes from.
        modes: what raters do.
        principles: None = the answer as a whole.
        pairs_per_group: most pairs of a group with more than two answers.
        seed: draws those pairs.
    """
    tasks: dict[str, Task] = {}
    counts: Counts = Counter()
    for source, group in answers:
        for mode in modes:
            for chosen in _choices(group, mode, pairs_per_group, seed, counts):
                for principle in principles:
                    task = _task(group, source, mode, chosen, principle)
                    if task.id in tasks:
                        counts[_TWICE] += 1
                    tasks.setdefault(task.id, task)
    return list(tasks.values()), counts


def _choices(group: Group, mode: Mode, pairs: int, seed: int, counts: Counts) -> Iterator[tuple[int, ...]]:
    """Which samples stand together in one task."""
    texts = [sample.completion.text for sample in group.samples]
    if mode in ("rating", "revision", "spans"):
        for index, text in enumerate(texts):
            if text.strip() and text not in texts[:index]:
                yield (index,)
            else:
                counts[_SAME if text.strip() else _EMPTY] += 1
        return
    different = [index for index, text in enumerate(texts) if text not in texts[:index]]
    counts[_SAME] += len(texts) - len(different)
    if len(different) < 2:
        counts[_ALONE] += 1
        return
    rng = random.Random(f"{seed}:{group.id}:{mode}")
    if mode == "ranking":
        chosen = different if len(different) <= MOST_RANKED else rng.sample(different, MOST_RANKED)
        yield tuple(sorted(chosen))
        return
    possible = list(combinations(different, 2))
    yield from sorted(rng.sample(possible, min(pairs, len(possible))))


def _task(
    group: Group, source: str, mode: Mode, chosen: tuple[int, ...], principle: Principle | None
) -> Task:
    samples = [group.samples[index] for index in chosen]
    task = Task(
        mode,
        _prompt(samples[0]),
        tuple(sample.completion.text for sample in samples),
        tuple(sample.completion.sampled_by for sample in samples),
        source=source,
        judge=_judges(group, chosen, principle.id if principle else ""),
        meta={"group": group.id, "samples": list(chosen), "read_from": group.source},
    )
    if principle is None:
        return task
    return replace(task, principle=principle.id, principle_sha=principle.sha, level=principle.level)


def _prompt(sample: Sample) -> Content:
    return sample.context.content


def _judges(group: Group, chosen: tuple[int, ...], principle: str) -> dict[str, Any]:
    """What each judge said of the chosen samples: a margin for two, else a value each."""
    values: dict[str, dict[int, float]] = {}
    margins: dict[str, float] = {}
    for said in group.judgements:
        if said.value is None or said.principle != principle:
            continue
        if isinstance(said.target, SampleTarget) and said.target.sample in chosen:
            values.setdefault(said.judge, {})[said.target.sample] = said.value
        elif isinstance(said.target, PairTarget) and len(chosen) == 2:
            pair = (said.target.better, said.target.worse)
            if set(pair) == set(chosen):
                margins[said.judge] = said.value if pair == chosen else -said.value
    found: dict[str, Any] = {}
    for judge, by_sample in values.items():
        listed = [by_sample.get(index) for index in chosen]
        found[judge] = {"values": listed}
        if len(chosen) == 2 and None not in listed:
            found[judge]["margin"] = by_sample[chosen[0]] - by_sample[chosen[1]]
    for judge, margin in margins.items():
        found.setdefault(judge, {})["margin"] = margin
    return found


def principles_of(
    constitution: Constitution, ids: Sequence[str], *, each: bool, overall: bool
) -> list[Principle | None]:
    """The principles that are labelled under; None = the answer as a whole.

    Raises:
        ConstitutionError: an unknown principle, or one that is not in force.
    """
    named = constitution.focused(ids).active if ids else (constitution.active if each else ())
    whole: list[Principle | None] = [None] if overall or not named else []
    return [*whole, *named]


def level_texts(principle: Principle, scale: int) -> Mapping[int, str]:
    """What each rating means, as the constitution's rubric says; a plain scale where it has none."""
    if principle.rubric is not None and principle.rubric.levels:
        return principle.rubric.levels
    return {1: "clearly breaks the principle", scale: "keeps the principle fully"}
