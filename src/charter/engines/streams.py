"""Random numbers that belong to a completion, not to a batch.

Every completion has its own stream, named by what was asked: the seed, the
context's tokens and which of its samples this is. The number for its t-th token
is a hash of stream and t. So the same request draws the same numbers however
completions are split, ordered, interrupted or batched together.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from charter.types import Context

Streams = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stream_ids(contexts: list[Context], n: int, seed: int) -> Streams:
    """The stream of every sample of every context, ``(contexts, n)``.

    A context that stands in the request again gets streams of its own.
    """
    out = np.empty((len(contexts), n), dtype=np.uint64)
    seen: dict[tuple[int, ...], int] = {}
    for row, context in enumerate(contexts):
        occurrence = seen.get(context.token_ids, 0)
        seen[context.token_ids] = occurrence + 1
        tokens = hashlib.blake2b(np.asarray(context.token_ids, dtype=np.int64).tobytes(), digest_size=16)
        for sample in range(n):
            digest = tokens.copy()
            digest.update(np.asarray((-1, seed, occurrence, sample), dtype=np.int64).tobytes())
            out[row, sample] = np.frombuffer(digest.digest()[:8], dtype=np.uint64)[0]
    return out


def uniforms(streams: Streams, positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """One uniform in [0, 1) for each stream at each token position (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = streams + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z = z ^ (z >> np.uint64(31))
    mantissa: NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64)
    return mantissa * 2.0**-53
