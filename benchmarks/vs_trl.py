"""A method side by side with TRL's trainer: what ``{dpo,sft,kto,rm}_vs_trl.py`` share.

Three ways to train, each in a fresh process, in alternating order:

    charter      bf16 compute over float32 weights, reference log-probs scored before the first step
    trl          TRL's trainer with its defaults
    trl-tuned    TRL's trainer at the best settings found for it (see README.md)

A row counts only where the loss curves agree; where they do not, it is void and
the exit code is 1. Finished parts are kept, so the same command continues an
interrupted benchmark.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import RESULTS, Jobs, Neighbours, cache_folder, command, idle, table, write_results
from trl_methods import METHODS
from trl_rows import LENGTHS
from trl_verdict import FIRST_GRADIENT, disagreement, loss_gap, rows_of, summary

from charter.progress import progress, say

PACKAGES = ("trl", "accelerate", "datasets")
VARIANTS = ("charter", "trl", "trl-tuned")
SETTINGS = ("method", "model", "steps", "pairs", "threads", "tuned_weights", "tuned_micro_batch")
CHECK_STEPS = 3


class Benchmark:
    """Every part in order; see the module."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        settings = {name: getattr(args, name) for name in SETTINGS}
        self.jobs = Jobs(
            args.cache,
            Path(args.script).resolve(),
            settings,
            packages=PACKAGES,
            threads=args.threads,
            fresh=args.fresh,
        )

    def prepared(self, lengths: str, steps: int) -> dict[str, Any]:
        """The job description of one kind of data: model folder, rows, steps."""
        tuned = {name: getattr(self.args, name) for name in ("tuned_weights", "tuned_micro_batch")}
        common = {"method": self.args.method, "steps": steps, "pairs": self.args.pairs}
        common |= {"lengths": lengths, **tuned}
        job = {"part": "prepare", "model": self.args.model, "folder": str(self.jobs.folder)}
        return {**common, **self.jobs.run(f"prepare-{lengths}", {**job, **common, **LENGTHS[lengths]})}

    def check(self) -> dict[str, Any]:
        """Losses of all variants in float32 on short rows; the reference for every claim of sameness."""
        data = self.prepared("check", CHECK_STEPS)
        found = {
            v: self.jobs.run(f"check-{v}", {"part": v, "dtype": "fp32", **data})
            for v in self.shown("check", VARIANTS)
        }
        peers = VARIANTS[1:]
        return {
            "dtype": "float32",
            "tolerance": METHODS[self.args.method].gap["fp32"],
            "losses": {v: found[v]["losses"] for v in VARIANTS},
            "grad_norms": {v: found[v]["grad_norms"] for v in VARIANTS},
            "loss_gap": {v: loss_gap(found["charter"], found[v]) for v in peers},
            "disagreement": {v: disagreement(found["charter"], found[v], "fp32") for v in peers},
        }

    def measure(self, lengths: str) -> list[dict[str, Any]]:
        """All repeats on one kind of data; stops after the first when TRL's defaults disagree with ours."""
        data = self.prepared(lengths, self.args.steps)
        rounds: list[dict[str, Any]] = []
        for number in range(self.args.repeats):
            order = VARIANTS if number % 2 == 0 else VARIANTS[::-1]
            label = f"{lengths} {number + 1}/{self.args.repeats}"
            rounds.append(
                {
                    v: self.jobs.run(f"{lengths}-{number}-{v}", {"part": v, "dtype": "bf16", **data})
                    for v in self.shown(label, order)
                }
            )
            why = disagreement(rounds[0]["charter"], rounds[0]["trl"], "bf16")
            if why is not None:
                say(f"{lengths}: {why}; the other repeats are left out")
                break
        return rounds

    def shown(self, label: str, variants: Sequence[str]) -> Iterator[str]:
        """The variants, one after another, with progress."""
        with progress(label, len(variants)) as advance:
            for variant in variants:
                yield variant
                advance(1, note=variant)


def main(method: str, script: str, argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 = every row counts, 1 = losses disagree somewhere."""
    args = _arguments(method, argv)
    args.method, args.script = method, script
    neighbours = Neighbours()
    benchmark = Benchmark(args)
    say(f"finished parts are kept in {benchmark.jobs.folder}")
    check = benchmark.check() if args.check else None
    if check is not None:
        _say_check(check)
        if any(check["disagreement"].values()):
            return 1
    measured = {lengths: benchmark.measure(lengths) for lengths in args.lengths}
    rows = [line for lengths, rounds in measured.items() for line in rows_of(lengths, rounds)]
    runs = [
        {k: result[k] for k in ("variant", "lengths", "date", "neighbours", "steps", "reference", "peak_mib")}
        for rounds in measured.values()
        for r in rounds
        for result in r.values()
    ]
    write_results(
        args.output,
        rows,
        PACKAGES,
        settings={name: getattr(args, name) for name in (*SETTINGS, "repeats")}
        | {"lengths": {name: LENGTHS[name] for name in args.lengths}},
        idle=idle(neighbours.load, runs),
        float32_check=check,
        tolerance={
            "first_loss": dict(METHODS[args.method].first_gap),
            "first_gradient": FIRST_GRADIENT,
            "curve": dict(METHODS[method].gap),
        },
        variants={
            lengths: {v: summary([r[v] for r in rounds]) for v in VARIANTS}
            for lengths, rounds in measured.items()
        },
        runs=runs,
    )
    print(table(rows))
    say(f"written to {args.output}")
    return 1 if any("void" in line for line in rows) else 0


def _say_check(check: Mapping[str, Any]) -> None:
    for variant, losses in check["losses"].items():
        say(f"float32 {variant:<10}" + " ".join(f"{loss:.6f}" for loss in losses))
    for variant, why in check["disagreement"].items():
        gap = check["loss_gap"][variant]
        say(f"float32 {variant}: " + (why or f"agrees, largest difference {gap:.1e}"))


def _arguments(method: str, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"{method} side by side with TRL's trainer.")
    add = parser.add_argument
    add("--model", default="smollm2-135m", help="a name, folder or hub id; tiny = random two-layer model")
    add("--steps", type=int, default=2, help="optimizer steps of each run, the first not measured")
    add("--repeats", type=int, default=2, help="runs of each way to train")
    add("--pairs", type=int, default=8, help="pairs per optimizer step")
    add("--threads", type=int, default=2, help="cores each run may use")
    add("--lengths", type=_kinds, default=("equal", "lognormal"), help="equal, lognormal, or both")
    add("--tuned-weights", default="bfloat16", choices=["bfloat16", "float32"], help="of the tuned peer")
    add("--tuned-micro-batch", type=int, help="pairs at once for the tuned peer; default: the best found")
    add("--check", action="store_true", help="first compare the losses of all three in float32")
    add("--cache", type=Path, default=cache_folder(f"{method}-vs-trl"), help="where finished parts are kept")
    add("--fresh", action="store_true", help="measure again what is already known")
    add("--output", type=Path, default=RESULTS / f"{method}_vs_trl.json", help="where the results go")
    args = parser.parse_args(argv)
    if args.steps < 2 or args.repeats < 1 or args.pairs < 1 or args.threads < 1:
        parser.error("--steps is at least 2 (the first is not measured); the other numbers at least 1")
    if args.tuned_micro_batch and args.pairs % args.tuned_micro_batch:
        parser.error(f"{args.pairs} pairs do not divide into micro-batches of {args.tuned_micro_batch}")
    return args


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(text.split(",")))
    if unknown := sorted(set(kinds) - {"equal", "lognormal"}):
        raise argparse.ArgumentTypeError(f"unknown lengths {', '.join(unknown)}: use equal, lognormal")
    return kinds


def _worker(job: Mapping[str, Any]) -> dict[str, Any]:
    """The child: one job in, one result out."""
    import trl_parts

    return trl_parts.run_part(job)


def run(method: str, script: str) -> int:
    """The command ``script``: the parent, or one of its workers."""
    return command(lambda: main(method, script), _worker)
