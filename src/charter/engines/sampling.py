"""Choosing the next token of every row from its logits.

One uniform per row and the inverse of the cumulative distribution: a tenth of
the work of one Gumbel per vocabulary entry. The sum is taken in two levels, so
that no cumulative sum over the whole vocabulary is needed.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charter.engines.base import Sampling
from charter.errors import TrainingFault

BLOCK = 64
"""Vocabulary entries per first-level sum."""

CANDIDATES = 64
"""Most probable tokens looked at first when the distribution is cut; more where they do not suffice."""


class TokenChooser:
    """Chooses tokens as ``sampling`` says, and returns their log-probabilities.

    Args:
        sampling: temperature and filters.
        vocab_size: V.
        max_rows: most rows of one call; decides the size of the work buffer.
        device: where the logits are.
    """

    def __init__(self, sampling: Sampling, vocab_size: int, max_rows: int, device: torch.device) -> None:
        self._sampling = sampling
        self._vocab_size = vocab_size
        padded = -(-vocab_size // BLOCK) * BLOCK
        self._buffer = torch.full((max_rows, padded), float("-inf"), dtype=torch.float32, device=device)

    def choose(self, logits: Tensor, uniform_B: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Pick one token per row.

        Args:
            logits: ``(B, V)``, any float type; left as it is.
            uniform_B: one uniform in [0, 1) per row; greedy choice ignores it.

        Returns:
            Token ids ``(B,)`` int64 and float32 log-probabilities ``(B,)``
            (see :class:`~charter.engines.base.Engine` for which).

        Raises:
            TrainingFault: a row of logits holds NaN or nothing finite.
        """
        options = self._sampling
        # The padding of the buffer stays -inf (softmax then makes it 0): reset, as softmax ran in place.
        work = self._buffer[: len(logits)]
        work[:, self._vocab_size :] = float("-inf")
        work[:, : self._vocab_size].copy_(logits)
        if options.logp_temperature != 1.0:
            work.div_(options.logp_temperature)
        uniform = torch.from_numpy(uniform_B).to(work.device)
        if options.top_k or options.top_p < 1 or options.min_p:
            log_z = torch.logsumexp(work, -1)
            _check_finite(log_z)
            tokens = _choose_filtered(work, log_z, uniform, options, CANDIDATES)
            return tokens, work.gather(1, tokens[:, None])[:, 0] - log_z
        most_probable = work.argmax(-1) if options.greedy else None
        probs = torch.softmax(work, -1, out=work)
        _check_finite(probs[:, 0])
        tokens = _invert(probs, uniform) if most_probable is None else most_probable
        return tokens, probs.gather(1, tokens[:, None])[:, 0].log_()


def _check_finite(one_per_row_B: Tensor) -> None:
    """A NaN or infinite logit makes the normaliser, and so every value of its row, NaN or infinite."""
    if not bool(torch.isfinite(one_per_row_B).all()):
        raise TrainingFault(
            "the model's output is not a distribution (NaN or infinite logits)",
            fix="the weights are damaged or training diverged: go back to an earlier checkpoint",
        )


def _invert(probs: Tensor, uniform_B: Tensor) -> Tensor:
    """Index at which the cumulative sum of each row passes ``uniform * total``; ``probs (B, m * BLOCK)``."""
    blocks = probs.view(len(probs), -1, BLOCK)
    block_B, rest_B = _pass(blocks.sum(-1).double(), uniform_B)
    inside = blocks[torch.arange(len(probs), device=probs.device), block_B].double()
    # `rest` is a share of the block, so that rounding of the two sums cannot point behind its end.
    index_B, _ = _pass(inside, rest_B)
    return block_B * BLOCK + index_B


def _pass(weights: Tensor, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
    """First index whose cumulative weight exceeds ``uniform * total``, and how far into it, in [0, 1)."""
    cumulative = weights.cumsum(-1)
    target_B = uniform_B * cumulative[:, -1]
    index_B = torch.searchsorted(cumulative, target_B[:, None], right=True)[:, 0]
    # uniform < 1, yet the product may round up to the total: take the last index that has weight.
    last_B = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())[:, 0]
    index_B = torch.minimum(index_B, last_B)
    width_B = weights.gather(1, index_B[:, None])[:, 0]
    start_B = cumulative.gather(1, index_B[:, None])[:, 0] - width_B
    share_B = ((target_B - start_B) / width_B).nan_to_num(0.0).clamp(0.0, 1.0 - 2.0**-53)
    return index_B, share_B


def _choose_filtered(
    logits: Tensor, log_z_B: Tensor, uniform_B: Tensor, options: Sampling, candidates: int
) -> Tensor:
    """Choose among the tokens the filters keep, looking at the ``candidates`` most probable ones.

    Each filter keeps a head of the sorted vocabulary. Rows whose kept head may
    be longer than what was looked at are done again with more candidates, by
    themselves, so that a row never depends on its neighbours.
    """
    width = logits.shape[-1]
    candidates = min(max(candidates, options.top_k + 1), width)
    values, order = torch.topk(logits, candidates, -1)
    kept, complete_B = _kept(values, log_z_B, options)
    complete_B |= candidates == width
    probs = torch.exp(values - log_z_B[:, None]).masked_fill_(~kept, 0.0)
    index_B, _ = _pass(probs.double(), uniform_B)
    tokens_B = order.gather(1, index_B[:, None])[:, 0]
    if not bool(complete_B.all()):
        redo = (~complete_B).nonzero()[:, 0]
        tokens_B[redo] = _choose_filtered(
            logits[redo], log_z_B[redo], uniform_B[redo], options, candidates * 8
        )
    return tokens_B


def _kept(values: Tensor, log_z_B: Tensor, options: Sampling) -> tuple[Tensor, Tensor]:
    """What every filter keeps of the sorted ``values (B, C)``, and the rows where nothing kept is missing."""
    kept = values > float("-inf")
    complete_B = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    if options.top_k:
        kth = values[:, min(options.top_k, values.shape[1]) - 1, None]
        kept &= values >= kth  # ties of the last one stay, as in transformers
        # What top_p sees is the distribution that top_k left, so all of that must be here.
        complete_B = values[:, -1] < kth[:, 0]
        log_z_B = torch.logsumexp(values.masked_fill(~kept, float("-inf")), -1)
    if options.top_p < 1:
        probs = torch.exp(values - log_z_B[:, None]).masked_fill_(~kept, 0.0)
        before = probs.cumsum(-1) - probs
        inside = before < options.top_p
        inside[:, 0] = True
        if not options.top_k:
            complete_B |= ~inside[:, -1]
        kept &= inside
    if options.min_p:
        likely = values >= values[:, :1] + math.log(options.min_p)
        if not options.top_k:
            complete_B |= ~likely[:, -1]
        kept &= likely
    return kept, complete_B
