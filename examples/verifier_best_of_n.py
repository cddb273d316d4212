"""Best of n by a generative verifier, on arithmetic the model half knows.

The model answers sums; an exact checker labels its answers; a LoRA adapter learns to answer "Is the
answer correct (Yes/No)?" about them (`charter train genrm`). On held-out sums the verifier then picks
the best of n samples, beside majority vote, an oracle, and a single sample.

    python examples/verifier_best_of_n.py --output-dir runs/verifier

The task is chosen by a pilot: of a few kinds of sums, the one of which the model gets nearest to a
third right, because where a model is always or never right there is nothing to choose.

Time on 2 cores with the default model, from measured speeds (370 tokens a second sampled, 700 trained
with LoRA, 2000 scored): pilot 8k tokens 20 s; 150 training sums x 16 samples x 16 tokens 105 s; 60 test
sums x 32 x 16 83 s; training about 1000 distinct questions and answers x 75 tokens x 2 epochs 215 s;
scoring about 900 distinct answers x 90 tokens 40 s; loading and saving 20 s. About 8 minutes in all.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from statistics import fmean
from typing import Any

import charter
from charter.feedback.trained.verifier import Verifier
from charter.stats import bootstrap_mean
from charter.types import Completion, Context, Group, Message, Sample

SIZES = (1, 2, 4, 8, 16, 32)
WANTED_ACCURACY = 1 / 3
VOTES = 200
"""Random subsets over which a majority vote is averaged."""


# -- the task ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Sum:
    """A question and its answer."""

    text: str
    value: int


def _drawn(shape: str, *ranges: tuple[int, int]) -> Callable[[random.Random], Sum]:
    def draw(rng: random.Random) -> Sum:
        numbers = [rng.randint(low, high) for low, high in ranges]
        if "-" in shape:
            numbers.sort(reverse=True)
        text = shape.format(*numbers)
        return Sum(f"What is {text}? Answer with the number only.", eval(text))  # our own digits and signs

    return draw


KINDS: dict[str, Callable[[random.Random], Sum]] = {
    "small sums": _drawn("{} + {}", (2, 20), (2, 20)),
    "two digits plus one": _drawn("{} + {}", (10, 99), (2, 9)),
    "two digits minus one": _drawn("{} - {}", (12, 99), (2, 9)),
    "two digits plus two": _drawn("{} + {}", (10, 99), (10, 99)),
    "three small numbers": _drawn("{} + {} + {}", (2, 9), (2, 9), (2, 9)),
    "small products": _drawn("{} * {}", (2, 19), (2, 19)),
}


def questions(kind: str, count: int, rng: random.Random, known: set[str]) -> list[Sum]:
    """`count` different sums that are not `known` yet."""
    found: list[Sum] = []
    for _ in range(100 * count):
        one = KINDS[kind](rng)
        if one.text not in known:
            known.add(one.text)
            found.append(one)
        if len(found) == count:
            return found
    raise SystemExit(f"{kind}: there are not {count} more different questions")


def number_in(text: str) -> int | None:
    """The last whole number of an answer, which is what it says."""
    found = re.findall(r"-?\d+", text.replace(",", ""))
    return int(found[-1]) if found else None


# -- sampling and labels ----------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """A sum and the answers sampled to it, with a flag each: right or wrong."""

    asked: Sum
    texts: tuple[str, ...]

    @property
    def right(self) -> list[bool]:
        """What the exact checker says."""
        return [number_in(text) == self.asked.value for text in self.texts]


def sampled(policy: Any, asked: Sequence[Sum], n: int, tokens: int, seed: int) -> list[Answered]:
    """`n` answers to every sum."""
    groups = charter.sample(
        policy, [one.text for one in asked], num_generations=n, max_completion_length=tokens, seed=seed
    )
    return [
        Answered(one, tuple(sample.completion.text for sample in group.samples))
        for one, group in zip(asked, groups, strict=True)
    ]


def accuracy(answered: Sequence[Answered]) -> float:
    """Share of right answers."""
    return fmean(flag for one in answered for flag in one.right)


def training_rows(answered: Sequence[Answered]) -> tuple[list[dict[str, Any]], int]:
    """Every different answer once, labelled; and how many right ones had to be made up.

    A model that is never right gives nothing to learn from. Then the right number itself is
    added, and the result says so.
    """
    never = not any(flag for one in answered for flag in one.right)
    rows = []
    for one in answered:
        texts = dict(zip(one.texts, one.right, strict=True))
        if never:
            texts[str(one.asked.value)] = True
        rows += [
            {
                "prompt": [{"role": "user", "content": one.asked.text}],
                "completion": [{"role": "assistant", "content": text}],
                "label": label,
            }
            for text, label in texts.items()
            if text.strip() and "\x00" not in text
        ]
    return rows, len(answered) if never else 0


def scores_of(verifier: Verifier, answered: Sequence[Answered]) -> list[dict[str, float]]:
    """The verifier's probability for every different answer."""
    distinct = [list(dict.fromkeys(one.texts)) for one in answered]
    groups = [
        Group(
            tuple(
                Sample(Context((Message("user", one.asked.text),)), Completion((Message("assistant", text),)))
                for text in texts
            )
        )
        for one, texts in zip(answered, distinct, strict=True)
    ]
    return [
        {text: float(said.probability or 0.0) for text, said in zip(texts, judged, strict=True)}
        for texts, judged in zip(distinct, verifier.judge(groups), strict=True)
    ]


# -- best of n --------------------------------------------------------------------------


def best_of_n(right_by_score: Sequence[bool], n: int) -> float:
    """Chance that the highest-scored of n samples, drawn without replacement, is right (no sampling noise).

    `right_by_score` is in ascending order of score: sample i is the best of a subset with probability
    C(i, n - 1) / C(N, n).
    """
    total = comb(len(right_by_score), n)
    return sum(comb(i, n - 1) for i, flag in enumerate(right_by_score) if flag) / total


def any_right(flags: Sequence[bool], n: int) -> float:
    """Chance that at least one of n samples is right."""
    return 1 - comb(len(flags) - sum(flags), n) / comb(len(flags), n)


def majority(one: Answered, n: int, rng: random.Random) -> float:
    """Chance that the commonest number of n samples is right; the first of equals."""
    numbers = [number_in(text) for text in one.texts]
    hits = 0
    for _ in range(VOTES):
        votes = Counter(number for number in rng.sample(numbers, n) if number is not None)
        hits += bool(votes) and votes.most_common(1)[0][0] == one.asked.value
    return hits / VOTES


def curves(
    answered: Sequence[Answered], scores: Sequence[Mapping[str, float]], seed: int
) -> dict[str, list[dict[str, float]]]:
    """Accuracy of each way to choose, for every n, with a bootstrap interval over sums."""
    rng = random.Random(seed)
    found: dict[str, list[dict[str, float]]] = {"verifier": [], "majority vote": [], "oracle": []}
    by_score = []
    for one, of in zip(answered, scores, strict=True):
        order = sorted(range(len(one.texts)), key=lambda i, one=one, of=of: of[one.texts[i]])  # type: ignore[misc]
        by_score.append([one.right[i] for i in order])
    for n in (size for size in SIZES if size <= len(answered[0].texts)):
        values = {
            "verifier": [best_of_n(flags, n) for flags in by_score],
            "majority vote": [fmean(one.right) if n == 1 else majority(one, n, rng) for one in answered],
            "oracle": [any_right(one.right, n) for one in answered],
        }
        for name, per_sum in values.items():
            low, high = bootstrap_mean([[value] for value in per_sum], resamples=2000, seed=seed)
            found[name].append({"n": n, "accuracy": fmean(per_sum), "low": low, "high": high})
    return found


def ranking_accuracy(answered: Sequence[Answered], scores: Sequence[Mapping[str, float]]) -> float | None:
    """How often a right answer scores above a wrong one to the same sum; ties count half."""
    won = []
    for one, of in zip(answered, scores, strict=True):
        flags = dict(zip(one.texts, one.right, strict=True))
        good = [of[text] for text, flag in flags.items() if flag]
        bad = [of[text] for text, flag in flags.items() if not flag]
        won += [1.0 if a > b else 0.5 if a == b else 0.0 for a in good for b in bad]
    return fmean(won) if won else None


# -- the plot ---------------------------------------------------------------------------

COLOURS = {"verifier": "#2a6f97", "majority vote": "#b5651d", "oracle": "#6b705c"}


def svg(found: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> str:
    """Accuracy against n on a doubling scale, intervals as bars."""
    sizes = [int(point["n"]) for point in next(iter(found.values()))]
    left, top, width, height = 60, 40, 460, 280

    def x(place: int, shift: int) -> float:
        return left + width * (place + 0.5) / len(sizes) + 5 * (shift - 1)

    def y(value: float) -> float:
        return top + height * (1 - value)

    parts = [f'<text x="{left}" y="22" font-size="15">{title}</text>']
    for tenth in range(0, 11, 2):
        at = y(tenth / 10)
        parts.append(f'<path d="M{left} {at:.1f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{tenth * 10}%</text>')
    for place, size in enumerate(sizes):
        parts.append(
            f'<text x="{x(place, 1):.1f}" y="{top + height + 20}" text-anchor="middle">{size}</text>'
        )
    below = top + height + 42
    parts.append(f'<text x="{left + width / 2}" y="{below}" text-anchor="middle">samples (n)</text>')
    for shift, (name, points) in enumerate(found.items()):
        colour = COLOURS[name]
        line = " ".join(f"{x(i, shift):.1f},{y(p['accuracy']):.1f}" for i, p in enumerate(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for i, p in enumerate(points):
            parts.append(
                f'<path d="M{x(i, shift):.1f} {y(p["low"]):.1f}V{y(p["high"]):.1f}" stroke="{colour}"/>'
            )
            parts.append(
                f'<circle cx="{x(i, shift):.1f}" cy="{y(p["accuracy"]):.1f}" r="3" fill="{colour}"/>'
            )
        parts.append(
            f'<text x="{left + width + 12}" y="{top + 20 + 20 * shift}" fill="{colour}">{name}</text>'
        )
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 650 380" font-family="sans-serif" '
        f'font-size="12"><rect width="650" height="380" fill="white"/>{body}</svg>\n'
    )


# -- the whole --------------------------------------------------------------------------


def pilot(policy: Any, options: argparse.Namespace) -> dict[str, float]:
    """Share of right answers by kind of sum."""
    rng = random.Random(options.seed)
    kinds = [options.kind] if options.kind else list(KINDS)
    return {
        kind: accuracy(
            sampled(policy, questions(kind, options.pilot, rng, set()), 8, options.tokens, options.seed)
        )
        for kind in kinds
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run it; returns what is written to `verifier_best_of_n.json`."""
    options = parse(arguments)
    out = Path(options.output_dir)
    out.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    clock = time.monotonic()

    def lap(name: str) -> None:
        nonlocal clock
        seconds[name] = round(time.monotonic() - clock, 1)
        clock = time.monotonic()

    policy = charter.load(tiny() if options.model == "tiny" else options.model)
    lap("load")
    by_kind = pilot(policy, options)
    kind = min(by_kind, key=lambda name: abs(by_kind[name] - WANTED_ACCURACY))
    lap("pilot")
    rng, known = random.Random(options.seed + 1), set[str]()
    train = questions(kind, options.train_prompts, rng, known)
    test = questions(kind, options.test_prompts, rng, known)
    rows, made_up = training_rows(
        sampled(policy, train, options.train_samples, options.tokens, options.seed + 1)
    )
    lap("sample training answers")
    answered = sampled(policy, test, options.samples, options.tokens, options.seed + 2)
    lap("sample test answers")
    run = charter.train(
        "genrm",
        policy,
        rows,
        output_dir=out / "verifier",
        resume="never",
        use_peft=True,
        learning_rate=options.learning_rate,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=32,
        warmup_steps=0.1,
        balance=True,
        seed=options.seed,
    )
    lap("train")
    scores = scores_of(Verifier(run.policy), answered)
    lap("verify")
    result = {
        "model": options.model,
        "task": kind,
        "single_sample_accuracy_by_kind": by_kind,
        "training_rows": len(rows),
        "right_answers_made_up": made_up,
        "test_sums": len(answered),
        "ranking_accuracy": ranking_accuracy(answered, scores),
        "curves": curves(answered, scores, options.seed),
        "seconds": seconds,
        "settings": vars(options),
    }
    (out / "verifier_best_of_n.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    picture = svg(result["curves"], f"{kind}: {len(answered)} held-out questions, 95% intervals")
    (out / "verifier_best_of_n.svg").write_text(picture, encoding="utf-8")
    for name, points in result["curves"].items():
        print(f"{name:14}", "  ".join(f"{p['n']:.0f}: {p['accuracy']:.2f}" for p in points))
    return result


def tiny() -> str:
    """A random model of two layers, to see that everything runs."""
    from charter.testing import save_tiny

    return save_tiny(tempfile.mkdtemp(prefix="charter-tiny-"))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="smollm2-135m", help="what charter.load takes, or 'tiny'")
    parser.add_argument("--output-dir", default="runs/verifier")
    parser.add_argument("--kind", choices=list(KINDS), help="the kind of sums; by default the pilot chooses")
    parser.add_argument("--pilot", type=int, default=10, help="sums of each kind in the pilot")
    parser.add_argument("--train-prompts", type=int, default=150)
    parser.add_argument("--train-samples", type=int, default=16)
    parser.add_argument("--test-prompts", type=int, default=60)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=16, help="most tokens of an answer")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
