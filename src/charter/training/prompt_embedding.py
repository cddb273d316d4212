"""Embeddings of prompts by a policy's own hidden states.

Shapes: X prompts, d width of the model, U predicting positions, N tokens of all prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charter.data.packing import Packed, pack
from charter.models import plain
from charter.models.policy import Policy
from charter.models.score import hidden_states, is_llama_style
from charter.training.references import without_dropout
from charter.types import Completion, Context, Sample

TOKENS_AT_ONCE = 8192


@torch.no_grad()
def embed(policy: Policy, contexts: Sequence[Context]) -> NDArray[np.float64]:
    """Mean final hidden state over the tokens of each rendered prompt, ``(X, d)``."""
    parts = []
    with without_dropout(policy):
        for batch in _batches(contexts):
            packed = pack([_as_sample(context) for context in batch])
            parts.append(_means(_hidden(policy, packed), packed))
    return np.concatenate(parts)


def _batches(contexts: Sequence[Context]) -> Iterator[list[Context]]:
    batch: list[Context] = []
    size = 0
    for context in contexts:
        if batch and size + len(context.token_ids) > TOKENS_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(context)
        size += len(context.token_ids)
    if batch:
        yield batch


def _as_sample(context: Context) -> Sample:
    """A sample each of whose predicting positions is a token of the prompt.

    The last token of a sample predicts nothing and is not computed, so one is put behind the prompt;
    whatever it is, no state depends on it.
    """
    ids = (*context.token_ids, context.token_ids[-1])
    return Sample(Context(), Completion(token_ids=ids, trained=(True,) * len(ids)))


def _hidden(policy: Policy, packed: Packed) -> Tensor:
    """Final hidden states at the predicting positions, ``(U, d)`` float32."""
    if is_llama_style(policy.model):
        return hidden_states(policy.model, packed, policy.compute_dtype).float()
    return plain.hidden(policy.model, packed, packed.predictor_U, policy.compute_dtype).float()


def _means(hidden_U: Tensor, packed: Packed) -> NDArray[np.float64]:
    hidden_N = hidden_U.double().cpu().numpy()[packed.unique_N]
    sums = np.zeros((packed.num_samples, hidden_N.shape[1]))
    np.add.at(sums, packed.sample_N, hidden_N)
    means: NDArray[np.float64] = sums / packed.lengths_B[:, None]
    return means
