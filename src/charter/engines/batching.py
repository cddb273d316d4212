"""Continuous batching: finished rows make room for the next prompts at once.

The time is the sum of the completion lengths over the rows, not the longest of
every batch. When nothing waits any more, the batch shrinks with its rows.

Shapes: R rows of the cache, B rows computed in a step (the live ones, rounded
up: every new batch size costs the library some milliseconds of setup).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from charter import interrupt
from charter.engines.base import OnProgress, Sampling
from charter.engines.decoding import Decoding, Start
from charter.engines.endings import StopTexts
from charter.engines.sampling import TokenChooser
from charter.engines.streams import Streams, uniforms
from charter.types import FinishReason

PREFILL_TOKENS = 2048
"""Prompt tokens prefilled together: enough for full speed, little to hold."""

HEAD_ROWS = 128
"""Rows whose logits exist at once: ``(128, V)`` in float32 stays near the cache."""


@dataclass(frozen=True, slots=True)
class Job:
    """One completion to make: sample ``sample`` of prompt ``prompt``, of at most ``limit`` tokens."""

    prompt: int
    sample: int
    limit: int


@dataclass(frozen=True, slots=True)
class Finished:
    """What a row produced."""

    job: Job
    ids: list[int]
    logps: list[float]
    reason: FinishReason


class Batch:
    """The rows being decoded.

    Args:
        decoder: computes.
        prompts: token ids, in the order they should start.
        jobs: in the order of ``prompts``; jobs of one prompt stand together.
        streams: random stream of every (prompt, sample).
        sampling: how tokens are chosen.
        stop_ids: tokens that end a completion.
        stops: texts that end a completion.
        rows: R.
    """

    def __init__(
        self,
        decoder: Decoding,
        prompts: Sequence[tuple[int, ...]],
        jobs: Sequence[Job],
        streams: Streams,
        sampling: Sampling,
        stop_ids: Sequence[int],
        stops: StopTexts,
        rows: int,
    ) -> None:
        self._decoder = decoder
        self._prompts = prompts
        self._waiting = deque(jobs)
        self._streams = streams
        self._stop_ids = np.asarray(stop_ids, dtype=np.int64)
        self._stops = stops
        self._rows = rows
        self._cache = decoder.new_cache(rows)
        self._hidden = decoder.new_hidden(rows)  # of the live rows, in their order
        device = self._hidden.device
        self._chooser = TokenChooser(sampling, decoder.vocab_size, min(rows, HEAD_ROWS), device)
        self._prefixes: dict[int, Start] = {}
        self._unstarted = deque(dict.fromkeys(job.prompt for job in jobs))
        # What belongs to the live rows, in their order.
        self._jobs: list[Job] = []
        self._tokens = torch.zeros(rows, dtype=torch.long, device=device)
        longest = max(job.limit for job in jobs)
        self._ids = np.zeros((rows, longest), dtype=np.int64)
        self._logps = np.zeros((rows, longest), dtype=np.float32)
        self._counts = np.zeros(rows, dtype=np.int64)
        self._lengths = np.zeros(rows, dtype=np.int64)  # prompt and completion, in the cache
        self._row_streams = np.zeros(rows, dtype=np.uint64)

    def run(self, on_progress: OnProgress | None) -> Iterator[Finished]:
        """Decode until every job is done; completions come as they finish.

        Raises:
            Interrupted: between two steps, when the person asked to stop.
        """
        while self._waiting or self._jobs:
            interrupt.current().check("sampling was stopped")
            self._start_waiting()
            self._choose()
            finished = list(self._collect())
            yield from finished
            if finished and on_progress is not None:
                on_progress(len(finished))
            if self._jobs:
                self._step()

    # -- rows -------------------------------------------------------------

    def _start_waiting(self) -> None:
        """Give free rows to waiting jobs."""
        while self._waiting and len(self._jobs) < self._rows:
            job = self._waiting.popleft()
            if job.prompt not in self._prefixes:
                self._prefill()
            prefix = self._prefixes[job.prompt]
            row = len(self._jobs)
            self._jobs.append(job)
            self._lengths[row] = prefix.length
            self._cache.reserve(int(self._lengths[: row + 1].max()) + 1)
            self._cache.fill(row, prefix)
            self._hidden[row] = prefix.hidden
            self._counts[row] = 0
            self._row_streams[row] = self._streams[job.prompt, job.sample]
            if not self._waiting or self._waiting[0].prompt != job.prompt:
                del self._prefixes[job.prompt]

    def _prefill(self) -> None:
        """Compute the next prompts, as many as fit one forward and can start soon."""
        chosen = [self._unstarted.popleft()]
        tokens = len(self._prompts[chosen[0]])
        while self._unstarted and tokens + len(self._prompts[self._unstarted[0]]) <= PREFILL_TOKENS:
            chosen.append(self._unstarted.popleft())
            tokens += len(self._prompts[chosen[-1]])
        prefixes = self._decoder.prefill([self._prompts[index] for index in chosen])
        self._prefixes.update(zip(chosen, prefixes, strict=True))

    def _remove(self, row: int) -> None:
        """Free ``row``: the last live row takes its place."""
        last = len(self._jobs) - 1
        self._cache.remove(row, last)
        self._jobs[row] = self._jobs[last]
        self._jobs.pop()
        for values in (self._ids, self._logps, self._counts, self._lengths, self._row_streams):
            values[row] = values[last]
        self._tokens[row] = self._tokens[last]

    # -- one step ---------------------------------------------------------

    def _choose(self) -> None:
        """Choose the next token of every live row."""
        live = len(self._jobs)
        uniform = uniforms(self._row_streams[:live], self._counts[:live])
        padded = _padded(live, self._rows)
        for start in range(0, live, HEAD_ROWS):
            end = min(start + HEAD_ROWS, live)
            logits = self._decoder.logits(self._hidden[start : min(start + HEAD_ROWS, padded)])
            tokens, logps = self._chooser.choose(logits[: end - start], uniform[start:end])
            self._tokens[start:end] = tokens
            rows = np.arange(start, end)
            self._ids[rows, self._counts[start:end]] = tokens.cpu().numpy()
            self._logps[rows, self._counts[start:end]] = logps.cpu().numpy()
        self._counts[:live] += 1

    def _collect(self) -> Iterator[Finished]:
        """Take out the rows that ended with their last token."""
        live = len(self._jobs)
        last = self._ids[np.arange(live), self._counts[:live] - 1]
        stopped = np.isin(last, self._stop_ids)
        limits = np.fromiter((job.limit for job in self._jobs), dtype=np.int64, count=live)
        full = self._counts[:live] >= limits
        # From the back, so that the row that moves into a gap has been looked at already.
        for row in range(live - 1, -1, -1):
            ids = self._ids[row, : self._counts[row]].tolist()
            stop = bool(stopped[row]) or (bool(self._stops) and self._stops.ends(ids))
            if stop or full[row]:
                logps = self._logps[row, : self._counts[row]].tolist()
                yield Finished(self._jobs[row], ids, logps, "stop" if stop else "length")
                self._remove(row)

    def _step(self) -> None:
        """Run the chosen tokens of the live rows through the model."""
        live = len(self._jobs)
        batch = _padded(live, self._rows)
        self._cache.reserve(int(self._lengths[:live].max()) + 1)
        self._hidden[:batch] = self._decoder.step(self._tokens[:batch], self._cache, live)
        self._lengths[:live] += 1


def _padded(live: int, rows: int) -> int:
    """``live`` rounded up to a batch size that comes again, so that few sizes are ever set up."""
    if live <= 8:
        size = 1 << (live - 1).bit_length()
    elif live <= 64:
        size = -(-live // 8) * 8
    else:
        size = -(-live // 16) * 16
    return min(size, rows)
