"""Sampling through transformers' ``generate``, for architectures the decoder does not know.

Tokens are chosen by the same chooser from the same random streams, hooked in as
a logits processor, so a completion has the same fields and the same meaning;
only the speed differs.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from charter import interrupt
from charter.engines.base import OnProgress, Sampling
from charter.engines.batching import Finished, Job
from charter.engines.endings import StopTexts
from charter.engines.sampling import TokenChooser
from charter.engines.streams import Streams, uniforms
from charter.models.policy import adapter_off
from charter.progress import say

Mix = Callable[[Sequence[tuple[int, ...]], Tensor], Tensor]
"""From the tokens of each row so far and the model's logits ``(B, V)`` to those that are sampled from."""

_announced: set[str] = set()


def announce(model: Any) -> None:
    """Say once per architecture that it takes the slow way."""
    kind = model.config.model_type
    if kind not in _announced:
        _announced.add(kind)
        say(
            f"{kind} models are sampled with transformers' generate: correct, but slower than the own decoder"
        )


def run(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    jobs: Sequence[Job],
    streams: Streams,
    sampling: Sampling,
    stop_ids: Sequence[int],
    stops: StopTexts,
    *,
    rows: int,
    dtype: torch.dtype,
    adapter_on: bool,
    mix: Mix | None,
    on_progress: OnProgress | None,
) -> Iterator[Finished]:
    """Make ``jobs``, ``rows`` at a time; completions come batch by batch."""
    switched = contextlib.nullcontext(model) if adapter_on else adapter_off(model)
    with switched, _plain_generation(model):
        for batch in _batches(jobs, rows):
            interrupt.current().check("sampling was stopped")
            asked = [prompts[job.prompt] for job in batch]
            tap = _Tap(batch, asked, streams, sampling, stop_ids, stops, mix)
            _generate(model, asked, tap, dtype)
            yield from tap.finished()
            if on_progress is not None:
                on_progress(len(batch))


def _batches(jobs: Sequence[Job], rows: int) -> Iterator[list[Job]]:
    """Runs of at most ``rows`` jobs of equal limit: a row that is done runs on, and must have room to."""
    for _, same in itertools.groupby(jobs, key=lambda job: job.limit):
        alike = list(same)
        for start in range(0, len(alike), rows):
            yield alike[start : start + rows]


class _Tap:
    """Chooses the tokens inside ``generate`` and decides when rows end."""

    def __init__(
        self,
        jobs: Sequence[Job],
        prompts: Sequence[tuple[int, ...]],
        streams: Streams,
        sampling: Sampling,
        stop_ids: Sequence[int],
        stops: StopTexts,
        mix: Mix | None,
    ) -> None:
        self.jobs = jobs
        self._prompts, self._mix = prompts, mix
        self._streams = np.array([streams[job.prompt, job.sample] for job in jobs], dtype=np.uint64)
        self._sampling = sampling
        self._stop_ids = frozenset(stop_ids)
        self._stops = stops
        self._chooser: TokenChooser | None = None
        self._ids: list[list[int]] = [[] for _ in jobs]
        self._logps: list[list[float]] = [[] for _ in jobs]
        self._stopped = [False for _ in jobs]

    def choose(self, _ids: Tensor, scores: Tensor) -> Tensor:
        """A logits processor: minus infinity everywhere but at the chosen token."""
        interrupt.current().check("sampling was stopped")
        if self._mix is not None:
            rows = zip(self._prompts, self._ids, strict=True)
            scores = self._mix([(*prompt, *ids) for prompt, ids in rows], scores)
        if self._chooser is None:
            self._chooser = TokenChooser(self._sampling, scores.shape[1], len(self.jobs), scores.device)
        positions = np.array([len(ids) for ids in self._ids], dtype=np.int64)
        tokens, logps = self._chooser.choose(scores, uniforms(self._streams, positions))
        for row, (token, logp) in enumerate(zip(tokens.tolist(), logps.tolist(), strict=True)):
            if not self._done(row):
                self._ids[row].append(token)
                self._logps[row].append(logp)
                self._stopped[row] = token in self._stop_ids or (
                    bool(self._stops) and self._stops.ends(self._ids[row])
                )
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)

    def ended(self, _ids: Tensor, _scores: Any, **_: Any) -> Tensor:
        """A stopping criterion: which rows are done."""
        return torch.tensor([self._done(row) for row in range(len(self.jobs))], device=_ids.device)

    def finished(self) -> Iterator[Finished]:
        for row, job in enumerate(self.jobs):
            reason = "stop" if self._stopped[row] else "length"
            yield Finished(job, self._ids[row], self._logps[row], reason)  # type: ignore[arg-type]

    def _done(self, row: int) -> bool:
        return self._stopped[row] or len(self._ids[row]) >= self.jobs[row].limit


def _generate(model: Any, prompts: Sequence[tuple[int, ...]], tap: _Tap, dtype: torch.dtype) -> None:
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    device = next(model.parameters()).device
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    # Ends are decided by the tap, so no token is an end (or a pad) to `generate` itself.
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max(job.limit for job in tap.jobs), eos_token_id=None, pad_token_id=0
    )
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            generation_config=config,
            logits_processor=LogitsProcessorList([tap.choose]),
            stopping_criteria=StoppingCriteriaList([tap.ended]),
        )


@contextlib.contextmanager
def _plain_generation(model: Any) -> Iterator[None]:
    """Without the checkpoint's own generation defaults, which would silently add penalties and filters."""
    from transformers import GenerationConfig

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    before, training = inner.generation_config, model.training
    inner.generation_config = GenerationConfig()
    model.eval()
    try:
        yield
    finally:
        inner.generation_config = before
        model.train(training)
