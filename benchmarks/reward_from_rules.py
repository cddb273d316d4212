"""How much of rule-made preferences a reward model learns, on prompts it has not seen.

    python benchmarks/reward_from_rules.py

The default model answers the quickstart's training prompts (24 each) and held-out prompts (four
each); the quickstart constitution's rules score every answer; a reward model is trained on all pairs
of different score of the training prompts, and measured on the held-out ones. The rules are exact, so
the labels allow an accuracy of 1. Beside it stand the baselines a length-blind eye would miss:
always the longest, always the shortest, and the one that came to its end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import ROOT, row, table, write_results
from study_cell import RECIPES, Reward
from study_parts import sampled

import charter
from charter.feedback.reward import rewards
from charter.records import write_groups
from charter.stats import wilson
from charter.types import Group, Judgement, PairTarget

RESULT = ROOT / "benchmarks" / "results" / "reward_from_rules.json"
Pair = tuple[int, int, int]
"""Group, better sample, worse sample."""


def main() -> int:
    """Sample, train, measure, write."""
    args = _arguments()
    began = time.monotonic()
    policy = charter.load(args.model)
    taught, taught_scores = _scored(policy, args, "train.jsonl", args.generations, seed=0)
    held, scores = _scored(policy, args, "heldout.jsonl", 4, seed=1)
    data = Path(args.output_dir).with_name(f"{Path(args.output_dir).name}.jsonl")
    data.parent.mkdir(parents=True, exist_ok=True)
    write_groups(data, _judged(taught, taught_scores))
    sampled_in = time.monotonic() - began
    run = charter.train(
        "reward-kwise",
        policy,
        data,
        output_dir=args.output_dir,
        num_train_epochs=args.epochs,
        use_peft=True,
        learning_rate=args.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        per_device_train_batch_size=args.batch_size,
    )
    pairs = pairs_of(scores)
    learned = rewards(run.policy, held)
    measures = {
        "reward model": learned,
        "always the longest": _by(held, lambda text, ended: len(text.split())),
        "always the shortest": _by(held, lambda text, ended: -len(text.split())),
        "ended by the model": _by(held, lambda text, ended: float(ended)),
    }
    lines = []
    for name, values in measures.items():
        right = accuracy(pairs, values)
        found = wilson(round(right * len(pairs)), len(pairs))
        lines.append({**row(name, "accuracy", "higher", [right], [1.0]), "interval": [found.lo, found.hi]})
    write_results(
        RESULT,
        lines,
        (),
        pairs=len(pairs),
        prompts=len(held),
        train_prompts=len(taught),
        train_pairs=len(pairs_of(taught_scores)),
        peer="the accuracy the labels allow",
        seconds={"sampling": round(sampled_in), "all": round(time.monotonic() - began)},
        settings={k: v for k, v in vars(args).items() if k != "output_dir"},
        last=run.result["last"],
    )
    print(table(lines))
    return 0


def pairs_of(scores: Sequence[Sequence[float]]) -> list[Pair]:
    """Every two answers to one prompt with different scores."""
    return [
        (group, i, j)
        for group, values in enumerate(scores)
        for i in range(len(values))
        for j in range(len(values))
        if values[i] > values[j]
    ]


def accuracy(pairs: Sequence[Pair], values: Sequence[Sequence[float]]) -> float:
    """Share of pairs in the right order; a tie is half right."""
    right = 0.0
    for group, better, worse in pairs:
        gap = values[group][better] - values[group][worse]
        right += 0.5 if gap == 0 else float(gap > 0)
    return right / len(pairs)


def _scored(
    policy: Any, args: argparse.Namespace, name: str, n: int, seed: int
) -> tuple[list[Group], list[list[float]]]:
    """Sampled groups in which the rules tell answers apart, and their scores."""
    judge = Reward()
    groups = sampled(policy, RECIPES / "quickstart" / name, n, args.tokens, seed)
    scores = [judge(group) for group in groups]
    told = [index for index, values in enumerate(scores) if len(set(values)) > 1]
    return [groups[i] for i in told], [scores[i] for i in told]


def _judged(groups: Sequence[Group], scores: Sequence[Sequence[float]]) -> list[Group]:
    """The groups with a preference for every two answers of different score."""
    said: list[list[Judgement]] = [[] for _ in groups]
    for group, better, worse in pairs_of(scores):
        gap = scores[group][better] - scores[group][worse]
        said[group].append(Judgement(PairTarget(better, worse), gap, judge="rules"))
    return [replace(group, judgements=tuple(s)) for group, s in zip(groups, said, strict=True)]


def _by(groups: Sequence[Group], of: Callable[[str, bool], float]) -> list[list[float]]:
    return [
        [of(s.completion.text, s.completion.finish_reason == "stop") for s in group.samples]
        for group in groups
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--generations", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--batch-size", type=int, default=2, help="prompts per step, with all their pairs")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--output-dir", default=str(ROOT / "runs" / "reward_from_rules"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
