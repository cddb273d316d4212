"""What must be looked at beside adherence: has the model been harmed?

Rules can be gamed. A model that answers in eight words passes many of them, its
perplexity on unrelated text hardly moves, and only the likelihood of its
answers under the base model and the KL show what happened. So these numbers
always stand beside adherence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch

from charter.data.batches import batches
from charter.data.packing import pack, scored_tokens, stream_length
from charter.errors import UserError
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.models.score import score
from charter.types import Completion, Context, Group, Sample

_TOKENS_PER_BATCH = 8192
_WINDOW = 512
_MAX_NLL = 700.0  # its exponential is near the largest number there is


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over ``n`` sequences with its standard error, which is nan when n is 1."""

    mean: float
    stderr: float
    n: int


def words(groups: Sequence[Group]) -> float:
    """Mean words per answer."""
    counts = [len(s.completion.text.split()) for g in groups for s in g.samples]
    return sum(counts) / len(counts)


def finished(groups: Sequence[Group]) -> float:
    """Share of answers the model ended itself."""
    flags = [s.completion.finish_reason != "length" for g in groups for s in g.samples]
    return sum(flags) / len(flags)


def distinct(groups: Sequence[Group]) -> float:
    """How many different answers there are, as a share of all answers."""
    texts = [s.completion.text.strip() for g in groups for s in g.samples]
    return len(set(texts)) / len(texts)


def kl_per_sequence(policy: Policy, reference: Reference, sampled: Sequence[Group]) -> Estimate:
    """``KL(policy || reference)`` in nats per sequence.

    ``sampled`` must be the policy's own samples at temperature 1. The KL of each
    next-token distribution is exact; only the prefixes are sampled, so the
    estimate is unbiased for answers up to the sampling limit and far less noisy
    than a sum of log-ratios.
    """
    totals = kl_of_each(policy, reference, sampled)
    n = len(totals)
    stderr = float(np.std(totals, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return Estimate(float(np.mean(totals)), stderr, n)


def kl_of_each(policy: Policy, reference: Reference, sampled: Sequence[Group]) -> list[float]:
    """The exact KL along each sample, nats, in the order of the groups; see :func:`kl_per_sequence`.

    0 for a sample without a token.
    """
    totals = [0.0] * sum(len(group.samples) for group in sampled)
    for batch in _batches(sampled):
        samples = [sample for _, sample in batch]
        kl_N = reference.divergence(policy, pack(samples)).double().cpu().numpy()
        for (place, _), part in zip(batch, _split(kl_N, samples), strict=True):
            totals[place] = float(part.sum())
    return totals


def nll_under(policy: Policy, reference: Reference | None, groups: Sequence[Group]) -> float:
    """Mean negative log-likelihood per token of answers under a model, nats; nan without a token.

    Args:
        policy: the model, when ``reference`` is None.
        reference: measure under the policy's reference instead.
        groups: the answers.
    """
    total = count = 0.0
    for batch in _batches(groups):
        packed = pack([sample for _, sample in batch])
        if reference is not None:
            logps_N = reference.logps(policy, packed)
        else:
            with torch.no_grad():
                out = score(policy.model, packed, compute_dtype=policy.compute_dtype)
            assert out.logps_N is not None
            logps_N = out.logps_N
        total -= float(logps_N.double().sum())
        count += len(logps_N)
    return total / count if count else math.nan


def perplexity(policy: Policy, reference: Reference | None, text: str) -> float:
    """Perplexity per token on ``text``, in windows of 512 tokens.

    The first token of a window is not counted: nothing predicts it.

    Raises:
        UserError: the text has fewer than two tokens.
    """
    ids = policy.tokenizer(text, add_special_tokens=False)["input_ids"]
    windows = [tuple(ids[i : i + _WINDOW]) for i in range(0, len(ids), _WINDOW)]
    groups = [
        Group((Sample(Context(), Completion(token_ids=w, trained=(True,) * len(w))),))
        for w in windows
        if len(w) > 1
    ]
    if not groups:
        raise UserError("perplexity needs a text of at least two tokens", fix="give a longer text")
    return math.exp(min(nll_under(policy, reference, groups), _MAX_NLL))


def _batches(groups: Sequence[Group]) -> Iterator[list[tuple[int, Sample]]]:
    """Samples with a token and their places among all, in batches of bounded size, like lengths together."""
    starts = accumulate((len(group.samples) for group in groups), initial=0)
    placed = sorted(zip(starts, groups, strict=False), key=lambda one: stream_length(one[1]))
    for batch in batches(placed, _TOKENS_PER_BATCH, lambda one: stream_length(one[1])):
        found = [
            (start + index, sample)
            for start, group in batch
            for index, sample in enumerate(group.samples)
            if scored_tokens(sample)
        ]
        if found:
            yield found


def _split(
    values_N: np.ndarray[tuple[int], np.dtype[np.float64]], samples: Sequence[Sample]
) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return np.split(values_N, np.cumsum([scored_tokens(s) for s in samples])[:-1])
