"""Best of n by a process reward model whose step labels need no people (Math-Shepherd, 2312.08935).

The model solves sums step by step; from every step of its solutions it goes on several times, and a step
is as good as the share of those that end right. A LoRA adapter with a reward head learns that
(`charter train process-reward`). On held-out sums it picks the best of n solutions by their worst step,
beside a single sample, majority vote and an oracle.

    python examples/process_best_of_n.py --output-dir runs/process

Needs the extra charter[tasks]. Twenty minutes on one CPU core. Of 120 held-out sums a single sample gets 20%
right, the majority of 16 gets 24%, the process reward model 24%, an oracle 48%: so few sums do not tell the
first three apart. With a quarter of the data the process reward model chose worse than a single sample (15%
against 24% of 60).
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import charter
from charter.data.formats import LoadedData
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.environments.tasks import load_prompts
from charter.feedback.steps.rollouts import StepRollouts
from charter.feedback.trained.process import ProcessJudge
from charter.types import Group, Message, SampleTarget

TASK = "reasoning-gym:chain_sum?min_terms=3&max_terms=3&min_digits=1&max_digits=1"
HELD_OUT = 100_000
"""Its seed: task i of a seed is task i - 1 of the next one, so seeds must lie far apart."""
ASKED = "Work it out in steps, one on each line. The last line is the result alone."
WORKED = (
    ("2 + 9 - 4", "2 + 9 = 11\n11 - 4 = 7\n7"),
    ("8 - 3 + 6", "8 - 3 = 5\n5 + 6 = 11\n11"),
    ("4 - 9 + 2", "4 - 9 = -5\n-5 + 2 = -3\n-3"),
    ("1 + 5 + 7", "1 + 5 = 6\n6 + 7 = 13\n13"),
)
"""Shown solved before each problem: without them a small model writes no steps at all."""


@dataclass(frozen=True)
class Settings:
    """How much is sampled and trained."""

    model: str
    output_dir: Path
    problems: int = 240
    solutions: int = 4
    continuations: int = 4
    heldout: int = 120
    n: int = 16
    max_completion_length: int = 32
    temperature: float = 0.7
    max_steps: int = 240
    bf16: bool = True


def problems(count: int, seed: int) -> tuple[Group, ...]:
    """Sums, asked for in steps, after some that are worked out."""
    loaded: LoadedData = load_prompts(f"{TASK}&size={count}&seed={seed}")
    shown = tuple(
        message
        for problem, steps in WORKED
        for message in (Message("user", _question(f"{problem} =")), Message("assistant", steps))
    )
    return tuple(_asked(group, shown) for group in loaded.groups)


def _asked(group: Group, shown: tuple[Message, ...]) -> Group:
    sample = group.samples[0]
    turns = (*shown, Message("user", _question(sample.context.text.rpartition(": ")[2])))
    return replace(group, samples=(replace(sample, context=replace(sample.context, content=turns)),))


def _question(problem: str) -> str:
    return f"{problem}\n{ASKED}"


def result_of(text: str) -> str | None:
    """The last number of a solution."""
    numbers = re.findall(r"-?\d+", text)
    return numbers[-1] if numbers else None


def is_right(text: str, group: Group) -> bool:
    """Whether a solution ends with the right result."""
    return result_of(text) == str(group.meta["answer"])


def sampled(policy: Any, groups: Sequence[Group], n: int, settings: Settings) -> list[Group]:
    """``n`` solutions of each problem, which keep what is known of it."""
    found = charter.sample(
        policy,
        groups,
        num_generations=n,
        temperature=settings.temperature,
        max_completion_length=settings.max_completion_length,
        seed=1,
    )
    return [replace(made, meta=group.meta, id=group.id) for made, group in zip(found, groups, strict=True)]


def readable(group: Group) -> Group:
    """The group without solutions that no data file may hold (NUL characters)."""
    return replace(group, samples=tuple(s for s in group.samples if "\0" not in s.completion.text))


def chosen(group: Group, said: Sequence[Any]) -> int:
    """The solution whose worst step is best; the first where none has a step."""
    values = {
        j.target.sample: j.value for j in said if isinstance(j.target, SampleTarget) and j.value is not None
    }
    return max(values, key=lambda index: values[index]) if values else 0


def run(settings: Settings) -> dict[str, float]:
    """Label, train, choose; writes ``process.json`` and returns accuracies by who chooses."""
    policy = charter.load(settings.model, bf16=settings.bf16)
    train, heldout = problems(settings.problems, 1), problems(settings.heldout, HELD_OUT)
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    labels = StepRollouts(
        engine,
        policy.template,
        is_right,
        n=settings.continuations,
        sampling=Sampling(
            temperature=settings.temperature, max_completion_length=settings.max_completion_length, seed=2
        ),
    )
    rows = settings.output_dir / "steps.jsonl"
    solutions = sampled(policy, train, settings.solutions, settings)
    labels.label([readable(group) for group in solutions], rows)
    trained = charter.train(
        "process-reward",
        settings.model,
        rows,
        output_dir=settings.output_dir / "model",
        max_steps=settings.max_steps,
        use_peft=True,
        learning_rate=2e-4,
        bf16=settings.bf16,
    )
    answered = sampled(policy, heldout, settings.n, settings)
    said = ProcessJudge(trained.policy, solution="min").judge(answered)
    found = {"single": [], "majority": [], "process reward": [], "oracle": []}  # type: dict[str, list[float]]
    for group, judged in zip(answered, said, strict=True):
        right = [is_right(sample.completion.text, group) for sample in group.samples]
        votes = Counter(r for s in group.samples if (r := result_of(s.completion.text)) is not None)
        most = votes.most_common(1)[0][0] if votes else None
        found["single"].append(fmean(right))
        found["majority"].append(float(most == str(group.meta["answer"])))
        found["process reward"].append(float(right[chosen(group, judged)]))
        found["oracle"].append(float(any(right)))
    accuracies = {who: fmean(values) for who, values in found.items()}
    (settings.output_dir / "process.json").write_text(json.dumps(accuracies, indent=2) + "\n", "utf-8")
    return accuracies


def main() -> None:
    """Run it and print who is right how often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/process"))
    given = parser.parse_args()
    for who, accuracy in run(Settings(given.model, given.output_dir)).items():
        print(f"{who}: {accuracy:.0%}")


if __name__ == "__main__":
    main()
