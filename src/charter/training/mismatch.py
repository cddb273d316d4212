"""Prompts with answers to other prompts, on which KTO measures its reference point.

Each prompt is given the answer to a different prompt once, for the whole data set, before training.
Peers shift the answers of a batch by one place when it is made. Doing it once has three advantages.
It works at any batch size, also 1, where a shifted answer is the prompt's own and the estimate is
the reward itself. It depends on neither the order of rows nor the way a step is split into
micro-batches. And the samples are the same in every epoch, so that the log-probs of a frozen
reference are computed once and kept. What is lost: the answers of a step's mismatched pairs are
not those of the step's own rows, though over an epoch they are (every answer is used equally often,
as far as the prompts allow).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace

from charter.catalogue.options import TrainOptions
from charter.data.packing import scored_tokens
from charter.errors import DataError
from charter.types import Context, Group, Sample


def with_mismatched(groups: Sequence[Group], options: TrainOptions) -> Sequence[Group]:
    """Every group with one mismatched sample for each of its own, where the loss reads them.

    An answer too long beside its new prompt loses its end, as ``max_length`` says.

    Args:
        groups: rendered groups.
        options: ``seed`` decides who gets which answer; with a ``loss_type`` other than ``kto``
            groups stay as they are.

    Raises:
        DataError: fewer than two different prompts.
    """
    if getattr(options, "loss_type", "kto") != "kto":
        return groups
    own = [sample for group in groups for sample in group.samples if sample.role == "policy"]
    made = iter(_mismatched(own, options.seed, options.max_length))
    return [
        replace(group, samples=group.samples + tuple(next(made) for s in group.samples if s.role == "policy"))
        for group in groups
    ]


def _mismatched(samples: Sequence[Sample], seed: int, max_length: int | None) -> list[Sample]:
    prompts = [sample.context.token_ids for sample in samples]
    if len(set(prompts)) < 2:
        raise DataError(
            "KTO's reference point is measured on prompts with answers to other prompts, "
            f"and these {len(samples)} answers have one prompt",
            fix="add rows with other prompts, or use apo-zero-unpaired or bco",
        )
    return [
        _given(sample, donor, samples, max_length)
        for sample, donor in zip(samples, donors(prompts, seed), strict=True)
    ]


def _given(sample: Sample, donor: int, samples: Sequence[Sample], max_length: int | None) -> Sample:
    """The sample's prompt with the donor's answer, or the next one that leaves something to score."""
    for answer in (*samples[donor:], *samples[:donor]):
        if answer.context.token_ids != sample.context.token_ids:
            joined = _joined(sample.context, answer, max_length)
            if scored_tokens(joined):
                return joined
    raise DataError(
        "no answer to another prompt leaves a trained token beside a prompt of "
        f"{len(sample.context.token_ids)} tokens",
        fix="raise max_length",
    )


def _joined(context: Context, answer: Sample, max_length: int | None) -> Sample:
    """``context`` with the answer of another sample, cut to what ``max_length`` leaves."""
    room = None if max_length is None else max(max_length - len(context.token_ids), 0)
    completion = replace(
        answer.completion,
        token_ids=answer.completion.token_ids[:room],
        trained=answer.completion.trained[:room],
        logps=(),  # the sampler's are of the answer under its own prompt
    )
    return Sample(context, completion, "mismatched")


def donors(prompts: Sequence[Hashable], seed: int) -> list[int]:
    """For each place the place whose answer it is given, never one of the same prompt.

    A random permutation as long as no prompt has more than half of the places; else the places of
    that prompt share the answers there are to others.

    Args:
        prompts: at least two different ones.
        seed: the same seed gives the same places.
    """
    rng = random.Random(f"mismatched:{seed}")
    counts = Counter(prompts)
    names = list(counts)
    rng.shuffle(names)
    rank = {name: number for number, name in enumerate(names)}
    order = list(range(len(prompts)))
    rng.shuffle(order)
    # Places of one prompt stand together, so a shift by the longest such run leaves every one of them.
    order.sort(key=lambda place: rank[prompts[place]])
    most, shift = counts.most_common(1)[0]
    others = [place for place in order if prompts[place] != most]
    found = [0] * len(order)
    for index, place in enumerate(order):
        donor = order[(index + shift) % len(order)]
        # Only a prompt with more than half of the places can meet itself.
        found[place] = rng.choice(others) if prompts[donor] == prompts[place] else donor
    return found
