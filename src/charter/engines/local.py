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

from charter.engines import fallback
from charter.engines.base import Mixture, OnProgress, Sampling, check_request
from charter.engines.batching import Batch, Finished, Job
from charter.engines.endings import StopTexts, completion, stop_ids_of
from charter.engines.source import Loaded, Source, decodes, load
from charter.engines.streams import stream_ids
from charter.engines.weights import check_finite
from charter.errors import UserError
from charter.models.policy import Policy
from charter.types import Completion, Context, Group, Sample

__all__ = ["REFERENCE", "LocalEngine", "decodes"]

POLICY, REFERENCE = "policy", "reference"


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
        reference: a policy or model that ``reference`` means, copied as it is now; None = the model
            with its adapter off.
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
        reference: Any = None,
        cache_gib: float = 4.0,
    ) -> None:
        if max_rows < 1 or cache_gib <= 0 or (threads is not None and threads < 1):
            raise UserError("max_rows, threads and cache_gib must be positive")
        if reference is not None and name == REFERENCE:
            raise UserError(f"an engine with a reference cannot itself be named {name!r}")
        self.name = name
        self._tokenizer = tokenizer
        self._dtype = compute_dtype
        self._max_rows = max_rows
        self._threads = threads
        self._stop_ids = stop_ids_of(model, tokenizer) if stop_ids is None else tuple(stop_ids)
        self._cache_bytes = cache_gib * 2**30
        self._models: dict[str, Loaded] = {POLICY: load(model, version, compute_dtype)}
        if reference is not None:
            self.load_weights(reference, getattr(reference, "version", 0), REFERENCE)

    @property
    def weight_version(self) -> int:
        """Version of the policy's weights."""
        return self._models[POLICY].version

    @property
    def max_length(self) -> int | None:
        """Most tokens of a context and its completion together; None = the model has no limit."""
        found = getattr(self._models[POLICY].model.config, "max_position_embeddings", None)
        return None if found is None else int(found)

    def load_weights(self, policy: Any, version: int, name: str = "policy") -> None:
        """Sample from ``policy`` (a policy or a model) as it is now, where ``name`` is asked for.

        Raises:
            TrainingFault: the weights are not finite; the old ones stay.
            UserError: another vocabulary than this engine's tokenizer was made for, or a model that
                transformers runs would stand for two names at once.
        """
        model = policy.model if isinstance(policy, Policy) else policy
        expected = self._models[POLICY].vocab_size
        if model.config.vocab_size != expected:
            raise UserError(
                f"the new weights have {model.config.vocab_size} tokens, this engine's model {expected}",
                fix="make a new engine for another model",
            )
        key = POLICY if name == self.name else name
        others = [one for other, one in self._models.items() if other != key]
        if not decodes(model) and any(model is one.model for one in others):
            raise UserError(
                f"a {model.config.model_type} model is not copied, so {name!r} would change with the other",
                fix="give the engine a copy of the model",
            )
        if key in self._models and self._models[key].model is model:
            check_finite(model)  # the old copy stays where this fails, else it makes room for the new one
            del self._models[key]
        self._models[key] = load(model, version, self._dtype)

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str | Mixture = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """See :meth:`charter.engines.base.Engine.generate`."""
        check_request(contexts, n, sampling)
        source = self._source(policy)
        limits = source.limits(contexts, sampling)
        if not contexts:
            return []
        found: dict[tuple[int, int], Completion] = {}
        stops = StopTexts(self._tokenizer, sampling.stop)
        with torch.inference_mode(), _threads(self._threads):
            for done in self._run(source, contexts, n, limits, sampling, stops, on_progress):
                job = done.job
                found[job.prompt, job.sample] = completion(
                    contexts[job.prompt],
                    done.ids,
                    done.logps,
                    done.reason,
                    stops,
                    sampled_by=source.name,
                    weight_version=source.main.version,
                )
        return [
            Group(tuple(Sample(context, found[index, sample]) for sample in range(n)))
            for index, context in enumerate(contexts)
        ]

    # -- inside -----------------------------------------------------------

    def _source(self, policy: str | Mixture) -> Source:
        """What ``policy`` asks for.

        Raises:
            UserError: this engine does not have it.
        """
        own = self._models[POLICY]
        if not isinstance(policy, Mixture):
            found = self._named(policy)
            return Source(self.name if found is own else policy, found)
        other = self._named(policy.other)
        if other is own:
            raise UserError(f"{policy.other!r} is this engine's own policy: there is nothing to mix")
        # At either end one model says it all, and the other need not run.
        if policy.coef in (0.0, 1.0):
            return Source(policy.label, other if policy.coef else own)
        return Source(policy.label, own, other, policy.coef)

    def _named(self, name: str) -> Loaded:
        key = POLICY if name == self.name else name
        if key in self._models:
            return self._models[key]
        if key != REFERENCE:
            known = " or ".join(map(repr, dict.fromkeys((POLICY, REFERENCE, *self._models))))
            raise UserError(
                f"this engine samples from {known}, not from {name!r}",
                fix=f"give it the weights first: load_weights(policy, version, {name!r})",
            )
        if not self._models[POLICY].has_adapter:
            raise UserError(
                "there is no adapter to switch off, so this engine has no reference",
                fix="give the engine the reference model: reference=",
            )
        return self._models[POLICY].without_adapter()

    def _run(
        self,
        source: Source,
        contexts: Sequence[Context],
        n: int,
        limits: Sequence[int],
        sampling: Sampling,
        stops: StopTexts,
        on_progress: OnProgress | None,
    ) -> Iterator[Finished]:
        prompts = [context.token_ids for context in contexts]
        # Long prompts first: neighbours have similar widths, and the short ones fill the end.
        order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), prompts[index]))
        jobs = [Job(index, sample, limits[index]) for index in order for sample in range(n)]
        streams = stream_ids(list(contexts), n, sampling.seed)
        if not source.decodes:
            return fallback.run(
                source.main.model,
                prompts,
                jobs,
                streams,
                sampling,
                self._stop_ids,
                stops,
                rows=self._max_rows,
                dtype=self._dtype,
                adapter_on=source.main.adapter,
                mix=source.mixer(self._dtype),
                on_progress=on_progress,
            )
        longest = max(len(prompts[job.prompt]) + job.limit for job in jobs)
        rows = min(self._affordable_rows(source, longest), len(jobs))
        decoder = source.decoder(longest)
        batch = Batch(decoder, prompts, jobs, streams, sampling, self._stop_ids, stops, rows)
        return batch.run(on_progress)

    def _affordable_rows(self, source: Source, longest: int) -> int:
        per_row = source.bytes_per_token(self._dtype) * longest
        return int(np.clip(self._cache_bytes // per_row, 1, self._max_rows))


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
