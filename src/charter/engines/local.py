"""The engine that decodes on this machine.

Prompts are prefilled once per group, and what prompts share once for all;
finished rows are replaced at once; log-probabilities come with the tokens.
Greedy decoding in float32 gives the tokens of transformers' ``generate``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from charter.engines import fallback
from charter.engines.base import OnProgress, Sampling, check_request
from charter.engines.batching import Batch, Job
from charter.engines.decoder import Decoder
from charter.engines.endings import StopTexts, completion, stop_ids_of
from charter.engines.streams import stream_ids
from charter.engines.weights import Weights, check_finite, snapshot
from charter.errors import UserError
from charter.models import blocks
from charter.models.architecture import architecture_of
from charter.models.policy import Policy
from charter.models.score import is_llama_style
from charter.types import Completion, Context, Group, Sample

REFERENCE = "reference"


class LocalEngine:
    """Samples from a model in this process.

    The weights are copied when they are given; training the model afterwards
    changes nothing here until :meth:`load_weights`. (Architectures the decoder
    does not know are not copied: transformers runs the model itself.)

    Args:
        model: a causal language model of transformers, plain or with a LoRA adapter.
        tokenizer: its tokenizer.
        name: ``sampled_by`` of the completions.
        compute_dtype: type of activations and matrix products; norms, softmax
            and residual stream are float32.
        max_rows: most completions decoded at once.
        threads: torch threads while sampling; None = as they are set.
        stop_ids: tokens that end a completion; None = the template's end of
            turn and the model's end-of-sequence tokens.
        version: weight version of the model as it is.
        cache_gib: most memory for keys and values; fewer rows are decoded at
            once where ``max_rows`` of them would need more.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "policy",
        compute_dtype: torch.dtype = torch.bfloat16,
        max_rows: int = 256,
        threads: int | None = None,
        stop_ids: Sequence[int] | None = None,
        version: int = 0,
        cache_gib: float = 4.0,
    ) -> None:
        if max_rows < 1 or cache_gib <= 0 or (threads is not None and threads < 1):
            raise UserError("max_rows, threads and cache_gib must be positive")
        self.name = name
        self._tokenizer = tokenizer
        self._dtype = compute_dtype
        self._max_rows = max_rows
        self._threads = threads
        self._stop_ids = stop_ids_of(model, tokenizer) if stop_ids is None else tuple(stop_ids)
        self._cache_bytes = cache_gib * 2**30
        self._load(model, version)

    @property
    def weight_version(self) -> int:
        """Version of the weights completions are sampled from."""
        return self._version

    def load_weights(self, policy: Any, version: int) -> None:
        """Sample from ``policy`` (a policy or a model) as it is now.

        Raises:
            TrainingFault: the weights are not finite; the old ones stay.
            UserError: another vocabulary than this engine's tokenizer was made for.
        """
        model = policy.model if isinstance(policy, Policy) else policy
        if model.config.vocab_size != self._model.config.vocab_size:
            raise UserError(
                f"the new weights have {model.config.vocab_size} tokens, "
                f"this engine's model {self._model.config.vocab_size}",
                fix="make a new engine for another model",
            )
        self._load(model, version)

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """See :meth:`charter.engines.base.Engine.generate`."""
        check_request(contexts, n, sampling)
        adapter_on = self._adapter_on(policy)
        limits = [self._limit(index, context, sampling) for index, context in enumerate(contexts)]
        if not contexts:
            return []
        sampled_by = self.name if adapter_on else REFERENCE
        found: dict[tuple[int, int], Completion] = {}
        stops = StopTexts(self._tokenizer, sampling.stop)
        with torch.inference_mode(), _threads(self._threads):
            for done in self._run(contexts, n, limits, sampling, stops, adapter_on, on_progress):
                job = done.job
                found[job.prompt, job.sample] = completion(
                    contexts[job.prompt],
                    done.ids,
                    done.logps,
                    done.reason,
                    stops,
                    sampled_by=sampled_by,
                    weight_version=self._version,
                )
        return [
            Group(tuple(Sample(context, found[index, sample]) for sample in range(n)))
            for index, context in enumerate(contexts)
        ]

    # -- inside -----------------------------------------------------------

    def _load(self, model: Any, version: int) -> None:
        weights: Weights | None = None
        if decodes(model):
            weights = snapshot(model, version, self._dtype)
        else:
            check_finite(model)
            fallback.announce(model)
        self._model, self._weights, self._version = model, weights, version

    def _adapter_on(self, policy: str) -> bool:
        """Whether ``policy`` means the weights as they were given, or those with the adapter off."""
        if policy in ("policy", self.name):
            return True
        if policy != REFERENCE:
            raise UserError(f"this engine samples from 'policy' or 'reference', not from {policy!r}")
        has_adapter = (
            self._weights.has_adapter
            if self._weights is not None
            else hasattr(self._model, "disable_adapter")
        )
        if not has_adapter:
            raise UserError(
                "there is no adapter to switch off, so this engine has no reference",
                fix="make another engine for the reference model",
            )
        return False

    def _limit(self, index: int, context: Context, sampling: Sampling) -> int:
        """Most tokens the completion of ``context`` may have."""
        where = f"context {index + 1}"
        room = getattr(self._model.config, "max_position_embeddings", None)
        length = len(context.token_ids)
        if room is not None and length >= room:
            raise UserError(
                f"the context has {length} tokens and leaves no room in the model's {room}",
                where=where,
                fix="shorten the prompt",
            )
        vocab_size = self._model.config.vocab_size
        if not 0 <= min(context.token_ids) <= max(context.token_ids) < vocab_size:
            raise UserError(
                f"a token id lies outside the model's vocabulary of {vocab_size}",
                where=where,
                fix="use the tokenizer that belongs to the model",
            )
        return (
            sampling.max_completion_length
            if room is None
            else min(sampling.max_completion_length, room - length)
        )

    def _run(
        self,
        contexts: Sequence[Context],
        n: int,
        limits: Sequence[int],
        sampling: Sampling,
        stops: StopTexts,
        adapter_on: bool,
        on_progress: OnProgress | None,
    ) -> Iterator[Any]:
        prompts = [context.token_ids for context in contexts]
        # Long prompts first: neighbours have similar widths, and the short ones fill the end.
        order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), prompts[index]))
        jobs = [Job(index, sample, limits[index]) for index in order for sample in range(n)]
        streams = stream_ids(list(contexts), n, sampling.seed)
        if self._weights is None:
            return fallback.run(
                self._model,
                prompts,
                jobs,
                streams,
                sampling,
                self._stop_ids,
                stops,
                rows=self._max_rows,
                dtype=self._dtype,
                adapter_on=adapter_on,
                on_progress=on_progress,
            )
        longest = max(len(prompts[job.prompt]) + job.limit for job in jobs)
        decoder = Decoder(self._weights, blocks.backbone(self._model), adapter=adapter_on, max_length=longest)
        rows = min(self._affordable_rows(longest), len(jobs))
        batch = Batch(decoder, prompts, jobs, streams, sampling, self._stop_ids, stops, rows)
        return batch.run(on_progress)

    def _affordable_rows(self, longest: int) -> int:
        shape = architecture_of(self._model.config).shape
        per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim * self._dtype.itemsize
        return int(np.clip(self._cache_bytes // (per_token * longest), 1, self._max_rows))


def decodes(model: Any) -> bool:
    """Whether the decoder of this package runs ``model``; transformers' ``generate`` runs the others."""
    if not is_llama_style(model) or not architecture_of(model.config).fixed_rope:
        return False
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    parts = [*blocks.backbone(model).modules(), getattr(inner, "lm_head", None)]
    return not any(
        isinstance(part, AuxiliaryTrainingWrapper)  # its copy of a weight belongs to the adapter
        or (isinstance(part, nn.Linear) and blocks.is_quantized(part))
        for part in parts
    )


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)
