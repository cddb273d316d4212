"""Pairs judged on one objective whose answers are rated on the others (MODPO)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from charter.catalogue.weights import named_weights
from charter.data.formats import LoadedData
from charter.errors import DataError, did_you_mean
from charter.types import Group, PairTarget, SampleTarget

_FIX = 'give each row "chosen_scores": {"name": number, ...} and "rejected_scores"'


def with_scores(loaded: LoadedData, options: Any) -> LoadedData:
    """``loaded``, after checking that both answers of every pair are rated on every other objective.

    Raises:
        DataError: a rating is missing; pairs judged on several objectives, or on one of the others.
    """
    own = {said.principle for group in loaded.groups for said, _ in _pairs(group)}
    if len(own) > 1:
        raise DataError(
            f"pairs are judged on several objectives: {', '.join(sorted(own))}",
            where=loaded.name or None,
            fix="train on the pairs of one of them; the others enter as scores",
        )
    rated = {name for group in loaded.groups for names in _rated(group).values() for name in names} - own
    wanted = set(named_weights(options.margin_weights))
    for name in sorted(wanted & own):
        raise DataError(
            f"{name!r} is the objective of the pairs", where="margin_weights", fix="weigh it by w"
        )
    for name in sorted(wanted - rated):
        fix = did_you_mean(name, rated) if rated else _FIX
        raise DataError(f"no answer is rated on {name!r}", where="margin_weights", fix=fix)
    if not rated:
        raise DataError("no answer is rated on another objective", where=loaded.name or None, fix=_FIX)
    for group in loaded.groups:
        _check(group, wanted or rated)
    return loaded


def _check(group: Group, names: Collection[str]) -> None:
    rated = _rated(group)
    for _, target in _pairs(group):
        for side, index in (("better", target.better), ("worse", target.worse)):
            missing = sorted(set(names) - rated.get(index, set()))
            if missing:
                raise DataError(
                    f"the {side} answer has no score for {', '.join(missing)}", where=group.source, fix=_FIX
                )


def _pairs(group: Group) -> list[tuple[Any, PairTarget]]:
    return [
        (said, said.target)
        for said in group.judgements
        if isinstance(said.target, PairTarget) and said.verdict == "judged"
    ]


def _rated(group: Group) -> dict[int, set[str]]:
    """Names each sample is rated on."""
    found: dict[int, set[str]] = {}
    for said in group.judgements:
        if isinstance(said.target, SampleTarget) and said.verdict == "judged":
            found.setdefault(said.target.sample, set()).add(said.principle)
    return found
