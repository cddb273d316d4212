"""Answers labelled desirable or undesirable, one verdict each, before a model loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charter.catalogue.options import TrainOptions
from charter.data.formats import LoadedData
from charter.errors import DataError
from charter.types import Group, Judgement, SampleTarget

UNLABELLED = "dropped: no answer has a label"
SOFT = "answers whose label is only probable: each counts as both, by weight"
SEVERAL = "answers with several labels, desirable only where all of them say so"
MOST = 4 / 3
"""Advised balance: ``desirable_weight * n / (undesirable_weight * m)`` between 1 and this (2402.01306,
equation 8)."""


def one_label_each(loaded: LoadedData, options: TrainOptions) -> LoadedData:
    """The labelled groups, each answer with one label of 1 or 0; what was changed is counted.

    An answer judged under several principles is desirable if all of them say so; what stays is the
    judgement of the first that does not. A label that holds with probability p stands once with
    weight p and once turned round with 1 - p. Where the options weigh the two kinds, a line of the
    counts says when they are out of balance.

    Raises:
        DataError: a label is neither 1 nor 0; nothing is labelled; KTO, and there is one prompt.
    """
    groups: list[Group] = []
    several = soft = 0
    for group in loaded.groups:
        labels = _labels(group)
        if labels:
            several += sum(len(said) > 1 for said in labels.values())
            one = _with_one(group, labels)
            groups.append(_both_ways(one))
            soft += len(groups[-1].samples) - len(one.samples)
    if not groups:
        raise DataError(
            "no answer has a label",
            where=loaded.name or None,
            fix="give each row a completion and a label of true or false",
        )
    if getattr(options, "loss_type", "") == "kto":
        _refuse_one_prompt(groups, loaded.name)
    counts = {**loaded.counts, UNLABELLED: len(loaded.groups) - len(groups), SEVERAL: several, SOFT: soft}
    return replace(loaded, groups=tuple(groups), counts={**counts, **_balance(groups, options)})


def _labels(group: Group) -> dict[int, list[Judgement]]:
    """What was said about each sample."""
    found: dict[int, list[Judgement]] = {}
    for said in group.judgements:
        if isinstance(said.target, SampleTarget) and said.value is not None:
            if said.value not in (0.0, 1.0):
                raise DataError(
                    f"label {said.value:g} is neither 1 (desirable) nor 0 (undesirable)",
                    where=group.source or None,
                    fix="turn scores into labels, or train with a method that reads rated answers",
                )
            found.setdefault(said.target.sample, []).append(said)
    return found


def _with_one(group: Group, labels: dict[int, list[Judgement]]) -> Group:
    """The group without any other judgement of a sample than its lowest label."""
    return replace(group, judgements=tuple(min(said, key=_value) for said in labels.values()))


def _both_ways(group: Group) -> Group:
    """The group with labels that are certain; an answer whose label is not stands in it twice."""
    samples, judgements = list(group.samples), list[Judgement]()
    for said in group.judgements:
        sure = 1.0 if said.probability is None else said.probability
        opposite = replace(said, value=1.0 - _value(said), probability=None, weight=said.weight * (1 - sure))
        if sure > 0:
            judgements.append(replace(said, probability=None, weight=said.weight * sure))
        if 0 < sure < 1 and isinstance(said.target, SampleTarget):
            opposite = replace(opposite, target=SampleTarget(len(samples)))
            samples.append(group.samples[said.target.sample])
        if sure < 1:
            judgements.append(opposite)
    return replace(group, samples=tuple(samples), judgements=tuple(judgements))


def _value(said: Judgement) -> float:
    assert said.value is not None
    return said.value


def _refuse_one_prompt(groups: Sequence[Group], name: str) -> None:
    if len({sample.context.content for group in groups for sample in group.samples}) < 2:
        raise DataError(
            "KTO needs at least two different prompts: its reference point is measured on prompts "
            "with answers to other prompts",
            where=name or None,
            fix="add rows with other prompts, or use apo-zero-unpaired or bco",
        )


def _balance(groups: Sequence[Group], options: TrainOptions) -> dict[str, int]:
    """A line for the person, where the two kinds are out of the advised balance; see :data:`MOST`."""
    desirable = getattr(options, "desirable_weight", None)
    undesirable = getattr(options, "undesirable_weight", None)
    if desirable is None or undesirable is None:
        return {}
    values = [_value(said) for group in groups for said in group.judgements]
    good = sum(value == 1 for value in values)
    bad = len(values) - good
    if not good or not bad:
        kind = "desirable" if good else "undesirable"
        return {f"answers, all of them {kind}: nothing is held against them": len(values)}
    ratio = desirable * good / (undesirable * bad)
    if 1 - 1e-9 <= ratio <= MOST + 1e-9:
        return {}
    advice = (
        f"desirable_weight {_range(undesirable * bad / good, MOST)} "
        f"or undesirable_weight {_range(desirable * good / bad / MOST, MOST)}"
    )
    return {f"desirable answers to {bad} undesirable ones: better balanced with {advice}": good}


def _range(low: float, factor: float) -> str:
    return f"{low:.3g} to {low * factor:.3g}"
