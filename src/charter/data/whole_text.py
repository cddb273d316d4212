"""Whole texts of better answers, prompt included, as samples of their own: ORPO as its authors coded it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charter.types import Context, Group, Judgement, PairTarget, Sample, SampleTarget


def with_whole_text(groups: Sequence[Group], options: Any) -> tuple[Group, ...]:
    """Unless ``options.completion_only_loss``: each better answer once more, trained from the prompt's start.

    The added samples carry a judgement; what else was said about single samples is left out. The
    packer computes the prompt and the answer once all the same.
    """
    if options.completion_only_loss:
        return tuple(groups)
    return tuple(_with_whole_text(group) for group in groups)


def _with_whole_text(group: Group) -> Group:
    pairs = tuple(said for said in group.judgements if isinstance(said.target, PairTarget))
    weights: dict[int, float] = {}
    for said in pairs:
        if isinstance(said.target, PairTarget) and said.verdict == "judged":
            right = 1.0 if said.probability is None else said.probability
            for index, share in ((said.target.better, right), (said.target.worse, 1 - right)):
                if share:
                    weights[index] = weights.get(index, 0.0) + said.weight * share
    whole = tuple(_whole(group.samples[index]) for index in weights)
    marks = tuple(
        Judgement(SampleTarget(len(group.samples) + i), 1.0, weight=weight)
        for i, weight in enumerate(weights.values())
    )
    return replace(group, samples=group.samples + whole, judgements=pairs + marks)


def _whole(sample: Sample) -> Sample:
    ids = sample.context.token_ids + sample.completion.token_ids
    # Nothing stands before the first token, so nothing predicts it.
    trained = (False,) + (True,) * (len(ids) - 1)
    completion = replace(sample.completion, token_ids=ids, trained=trained, logps=())
    return replace(sample, context=Context(), completion=completion)
