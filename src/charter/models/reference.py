"""Reference log-probs, computed once per sample and kept on disk.

The reference of a run is the policy as it was before the first step, whatever
it was made of. Its per-token log-probs are stored under a key of the rendered
tokens, so a resumed run, and every loss that needs them, reads them back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from charter.data.batches import group_batches
from charter.data.packing import pack, scored_tokens, stream_length
from charter.errors import EnvironmentFault
from charter.interrupt import current
from charter.models.policy import Policy
from charter.models.score import score
from charter.progress import say
from charter.types import Group, Sample

Floats = NDArray[np.float32]
CACHE_FILE = "reference.safetensors"


class ReferenceCache:
    """Per-token log-probs of samples under the reference.

    Args:
        directory: where the cache file lives.
        tag: identity of the reference (weights, compute type); another tag is another cache.
    """

    def __init__(self, directory: Path, tag: str) -> None:
        self._path = directory / CACHE_FILE
        self._tag = tag
        self._logps: dict[str, Floats] = {}
        if self._path.exists():
            stored = _read(self._path)
            if f"tag:{tag}" in stored:
                self._logps = {k: v for k, v in stored.items() if not k.startswith("tag:")}

    def fill(
        self,
        policy: Policy,
        groups: Sequence[Group],
        tokens_per_batch: int,
        advance: Callable[[int], None] = lambda n: None,
    ) -> None:
        """Score every group not yet known under ``policy`` as it is now, and write the cache.

        Raises:
            Interrupted: the person asked to stop; what was scored is saved.
            EnvironmentFault: the disk refuses.
        """
        todo = sorted(
            (g for g in groups if any(_key(s) not in self._logps for s in g.samples)), key=stream_length
        )
        advance(len(groups) - len(todo))
        for batch in group_batches(todo, tokens_per_batch):
            if current().requested:
                self._save()
                current().check(
                    "stopped while scoring the reference, saved",
                    fix="run the same command again to continue",
                )
            self._score(policy, batch)
            advance(len(batch))
        if todo:
            self._save()

    def logps(self, samples: Sequence[Sample]) -> Floats:
        """Log-probs of the scored tokens of ``samples``, concatenated, ``(N,)``."""
        return np.concatenate([self._logps[_key(s)] for s in samples])

    def _score(self, policy: Policy, groups: Sequence[Group]) -> None:
        samples = [s for g in groups for s in g.samples if s.role != "teacher"]
        with torch.no_grad():
            out = score(policy.model, pack(samples), compute_dtype=policy.compute_dtype)
        assert out.logps_N is not None
        parts = np.split(out.logps_N.cpu().numpy(), np.cumsum([scored_tokens(s) for s in samples])[:-1])
        self._logps.update({_key(s): part.copy() for s, part in zip(samples, parts, strict=True)})

    def _save(self) -> None:
        temporary = self._path.with_suffix(".tmp")
        try:
            save_file({**self._logps, f"tag:{self._tag}": np.zeros(1, dtype=np.float32)}, str(temporary))
            temporary.replace(self._path)
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            size = sum(values.nbytes for values in self._logps.values())
            raise EnvironmentFault(
                f"reference log-probs not saved: {error}",
                where=str(self._path),
                fix=f"free some disk space: they need {size} bytes",
            ) from None


def _read(path: Path) -> dict[str, Floats]:
    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        say(f"{path.name} cannot be read ({error}); the reference is scored again")
        return {}


def _key(sample: Sample) -> str:
    """Identity of a rendered sample: its tokens, where the completion starts, what is trained."""
    digest = hashlib.sha256()
    for values in (
        sample.context.token_ids,
        sample.completion.token_ids,
        sample.completion.trained,
    ):
        digest.update(np.asarray(values, dtype=np.int64).tobytes())
        digest.update(b"|")
    return digest.hexdigest()[:32]
