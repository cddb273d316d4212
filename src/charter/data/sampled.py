"""Pairs whose answers carry the log-probs of the policy that sampled them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from charter.data.formats import LoadedData
from charter.errors import DataError
from charter.types import Group, Judgement, PairTarget

UNKNOWN = "dropped: an answer carries no log-probs of the policy that sampled it"


def with_sampler_logps(loaded: LoadedData, options: Any) -> LoadedData:
    """Only the pairs of answers that carry their sampler's log-probs; the rest is counted.

    Answers of a data file carry none; nor do answers sampled under a guide, whose log-probs
    belong to another prompt.

    Raises:
        DataError: nothing is left.
    """
    made = [_recorded(group) for group in loaded.groups]
    kept = tuple(group for group in made if group is not None)
    if not kept:
        raise DataError(
            "no pair has answers with the log-probs of the policy that sampled them",
            where=loaded.name or None,
            fix="train on groups that `charter run` sampled and compared (stages/*-compare/groups.jsonl); "
            "for other pairs the reference is the model itself: use dpo",
        )
    lost = len(loaded.groups) - len(kept)
    return replace(loaded, groups=kept, counts={**loaded.counts, UNKNOWN: lost})


def _recorded(group: Group) -> Group | None:
    """The group with its recorded pairs and their samples, or None without one."""
    has = [bool(sample.completion.logps) for sample in group.samples]
    pairs = [
        (said, said.target)
        for said in group.judgements
        if isinstance(said.target, PairTarget) and has[said.target.better] and has[said.target.worse]
    ]
    if not pairs:
        return None
    used = sorted({index for _, target in pairs for index in (target.better, target.worse)})
    place = {index: number for number, index in enumerate(used)}
    judgements: tuple[Judgement, ...] = tuple(
        replace(said, target=PairTarget(place[target.better], place[target.worse])) for said, target in pairs
    )
    return replace(group, samples=tuple(group.samples[i] for i in used), judgements=judgements)
