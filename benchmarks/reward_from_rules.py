"""How much of rule-made preferences a reward model learns, on prompts it has not seen.

    python benchmarks/reward_from_rules.py                          # one reward, from pairs
    python benchmarks/reward_from_rules.py --algorithm regression   # one reward a principle, from verdicts

The default model answers the quickstart's training prompts (24 each) and held-out prompts (four
each); the quickstart constitution's rules score every answer: the share of the applicable principles
it passes. A reward model is trained on the training prompts, either on all pairs of different score
(``reward-kwise``) or on every principle's verdict (``reward-regression``), and measured on the
held-out pairs of different score. The rules are exact, so the labels allow an accuracy of 1. Beside
it stand the baselines a length-blind eye would miss: always the longest, always the shortest, and the
one that came to its end. Samples are kept beside ``--output-dir``; each algorithm's rows replace its
own in the results file.
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
from study_parts import Row, sampled

import charter
from charter.constitutions import shipped
from charter.feedback.trained.reward import rewards, scale_of
from charter.records import read_groups, write_groups
from charter.rundir import read_json, read_jsonl, write_jsonl
from charter.stats import wilson
from charter.types import Group, Judgement, PairTarget

QUICKSTART = RECIPES / "quickstart"
RESULT = ROOT / "benchmarks" / "results" / "reward_from_rules.json"
CHECK_SEED = 7
Pair = tuple[int, int, int]
"""Group, better sample, worse sample."""


def main() -> int:
    """Sample, train, measure, write."""
    args = _arguments()
    if args.check:
        return _check(args)
    began = time.monotonic()
    policy = charter.load(args.start or args.model)
    asked = QUICKSTART / "train.jsonl" if args.prompts == "quickstart" else _test_prompts(args)
    taught = _told_apart(_samples(policy, args, asked, args.generations, seed=0))
    held = _told_apart(_samples(policy, args, QUICKSTART / "heldout.jsonl", 4, seed=1))
    data = Path(args.output_dir) / "data.jsonl"
    data.parent.mkdir(parents=True, exist_ok=True)
    write_groups(data, _rated(taught) if args.algorithm == "regression" else _compared(taught))
    sampled_in = time.monotonic() - began
    run = charter.train(
        f"reward-{args.algorithm}",
        policy,
        data,
        output_dir=str(
            Path(args.output_dir) / (f"{args.algorithm}-further" if args.start else args.algorithm)
        ),
        num_train_epochs=args.epochs,
        use_peft=True,
        learning_rate=args.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        per_device_train_batch_size=args.batch_size,
    )
    pairs = pairs_of(_scores(held))
    measures = {
        f"reward-{args.algorithm}": _learned(run.policy, held),
        "always the longest": _by(held, lambda text, ended: len(text.split())),
        "always the shortest": _by(held, lambda text, ended: -len(text.split())),
        "ended by the model": _by(held, lambda text, ended: float(ended)),
    }
    lines = []
    for name, values in measures.items():
        right = accuracy(pairs, values)
        found = wilson(round(right * len(pairs)), len(pairs))
        lines.append({**row(name, "accuracy", "higher", [right], [1.0]), "interval": [found.lo, found.hi]})
    lines[0] |= {
        "seconds": {"sampling": round(sampled_in), "all": round(time.monotonic() - began)},
        "settings": {k: v for k, v in vars(args).items() if k != "output_dir"},
        "last": run.result["last"],
    }
    write_results(
        RESULT,
        [*lines, *_other_algorithms(lines)],
        (),
        pairs=len(pairs),
        prompts=len(held),
        train_prompts=len(taught),
        train_pairs=len(pairs_of(_scores(taught))),
        peer="the accuracy the labels allow",
    )
    print(table(lines))
    return 0


def _check(args: argparse.Namespace) -> int:
    """A model that was trained here on answers that no choice among models has seen: six a prompt."""
    held = _told_apart(
        _samples(charter.load(args.model), args, QUICKSTART / "heldout.jsonl", 6, seed=CHECK_SEED)
    )
    pairs = pairs_of(_scores(held))
    right = accuracy(pairs, _learned(charter.load(args.check), held))
    found = wilson(round(right * len(pairs)), len(pairs))
    print(f"{right:.4f} [{found.lo:.4f}, {found.hi:.4f}] of {len(pairs)} pairs on {len(held)} prompts")
    return 0


def _other_algorithms(lines: Sequence[Row]) -> list[Row]:
    """Rows of earlier runs that this one does not replace."""
    known: list[Row] = (read_json(RESULT) or {}).get("rows", [])
    names = {line["name"] for line in lines}
    return [line for line in known if line["name"] not in names]


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


def _samples(policy: Any, args: argparse.Namespace, prompts: Path, n: int, seed: int) -> list[Group]:
    """``n`` answers of the model that is not trained yet to every prompt of a file, sampled once and kept."""
    kept = Path(args.output_dir) / f"{prompts.stem}-{n}x{args.tokens}.jsonl"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        writer = charter.load(args.model) if args.start else policy
        write_groups(kept, sampled(writer, prompts, n, args.tokens, seed))
    return read_groups(kept)


def _test_prompts(args: argparse.Namespace) -> Path:
    """A file with the prompts of the shipped constitutions' tests, but for those that are held out."""
    held = {row["prompt"][-1]["content"] for row in read_jsonl(QUICKSTART / "heldout.jsonl")}
    rows: dict[str, dict[str, Any]] = {}
    for name in shipped():
        for principle in charter.Constitution.load(name).active:
            for test in principle.tests:
                prompt = getattr(test.config, "prompt", None)
                alone = prompt and not test.config.system and not test.config.conversation
                if alone and prompt not in held:
                    turns = [{"role": "user", "content": prompt}]
                    rows.setdefault(prompt, {"prompt": turns, "tags": list(test.config.tags)})
    file = Path(args.output_dir) / "tests.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(file, rows.values())
    return file


def _scores(groups: Sequence[Group]) -> list[list[float]]:
    """Share of the applicable principles each answer passes."""
    judge = Reward()
    return [judge(group) for group in groups]


def _told_apart(groups: Sequence[Group]) -> list[Group]:
    """The groups in which the rules tell answers apart."""
    return [group for group, scores in zip(groups, _scores(groups), strict=True) if len(set(scores)) > 1]


def _rated(groups: Sequence[Group]) -> list[Group]:
    """The groups with one rating for each answer and principle that applies: 1 passed, 0 not."""
    said = Reward().feedback.judge(groups)
    return [
        replace(group, judgements=tuple(j for j in judgements if j.value is not None))
        for group, judgements in zip(groups, said, strict=True)
    ]


def _compared(groups: Sequence[Group]) -> list[Group]:
    """The groups with a preference for every two answers of different score."""
    scores = _scores(groups)
    said: list[list[Judgement]] = [[] for _ in groups]
    for group, better, worse in pairs_of(scores):
        gap = scores[group][better] - scores[group][worse]
        said[group].append(Judgement(PairTarget(better, worse), gap, judge="rules"))
    return [replace(group, judgements=tuple(s)) for group, s in zip(groups, said, strict=True)]


def _learned(policy: Any, groups: Sequence[Group]) -> list[list[float]]:
    """The model's reward: of several outputs their plain sum, each being a principle's chance to pass."""
    scale = scale_of(policy)
    weights = dict(zip(scale.names, scale.std, strict=True)) if len(scale.names) > 1 else None
    return rewards(policy, groups, weights)


def _by(groups: Sequence[Group], of: Callable[[str, bool], float]) -> list[list[float]]:
    return [
        [of(s.completion.text, s.completion.finish_reason == "stop") for s in group.samples]
        for group in groups
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--algorithm", choices=("kwise", "regression"), default="kwise")
    parser.add_argument("--prompts", choices=("quickstart", "tests"), default="quickstart")
    parser.add_argument("--start", help="a reward model trained here before, to teach further")
    parser.add_argument("--check", help="only measure this reward model, on new answers; writes nothing")
    parser.add_argument("--generations", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--batch-size", type=int, default=2, help="prompts per step, with all their pairs")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--output-dir", default=str(ROOT / "runs" / "reward_from_rules"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
