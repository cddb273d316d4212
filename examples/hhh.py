"""Helpful, honest, harmless: the recipe of Askell et al. 2021 (2112.00861) on a small data set.

    python examples/hhh.py --model smollm2-135m --output runs/hhh

1. *Prompted*: the model is given a prompt of a few good conversations.
2. *Distilled*: it answers under the prompt, and then learns, without it, the distribution
   it has under it (forward KL on the teacher's 50 most probable tokens and a bucket).
3. *Three objectives* on the same ranked answers: imitation of the best ones, binary
   discrimination of the best from the worst, ranked preference modelling of every pair.
4. *Preference-model pretraining* on votes, made binary: each answer becomes two pairs that
   differ only in the word GOOD or BAD before it. Then the ranked answers, as in 3.

Language models rank two answers by log-prob per token, preference models by their reward. What
is printed is the share of held-out pairs ranked rightly. It is an illustration: with a handful
of rows the differences are not evidence. The data is in examples/hhh/; every arm is a run
directory of its own under --output, and running again continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import charter
from charter.catalogue import ENTRIES
from charter.catalogue.distillation import DistillationOptions
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.data.teacher_context import aligned, with_teacher
from charter.feedback.forward import logps_of, rewards_of
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.objectives.distillation import Divergence
from charter.training.batch import MicroBatch
from charter.training.teacher import Snapshot
from charter.types import Group

HERE = Path(__file__).parent / "hhh"
HELD_OUT = 4  # every fourth row
REWARD, PRETRAINING = "reward", "reward-pmp"
Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What one call of the script decides.

    Attributes:
        model: what every arm starts from.
        output: run directories go under it.
        steps: optimizer steps of every arm.
        learning_rate: of the LoRA adapter.
        prompt: the prompt that is to be built in.
        max_completion_length: tokens of the answers sampled under it.
        bf16: compute in bfloat16.
    """

    model: str
    output: Path
    steps: int = 30
    learning_rate: float = 5e-4
    prompt: str = (HERE / "prompt.txt").read_text(encoding="utf-8").strip()
    max_completion_length: int = 64
    bf16: bool = True

    def train(
        self, arm: str, algorithm: str, data: Sequence[Row], start: Policy | None = None, **more: Any
    ) -> Policy:
        """Train one arm from ``start``, or from the model."""
        options = {
            "max_steps": self.steps,
            "learning_rate": self.learning_rate,
            "per_device_train_batch_size": 8,
            "use_peft": True,
            "bf16": self.bf16,
            **more,
        }
        start = start or charter.load(self.model, bf16=self.bf16)
        return charter.train(algorithm, start, data, output_dir=self.output / arm, **options).policy


@dataclass(frozen=True)
class Measured:
    """One arm on the held-out rows.

    Attributes:
        arm: its name.
        accuracy: share of ranked pairs it ranks rightly.
        nll: of the best answers, nats per token; None for a preference model.
        to_prompted: mean KL(prompted || arm) per token of the best answers.
    """

    arm: str
    accuracy: float
    nll: float | None = None
    to_prompted: float | None = None


def run(settings: Settings) -> list[Measured]:
    """Every arm; writes ``hhh.json``."""
    rows = read(HERE / "answers.jsonl")
    held_out = rows[HELD_OUT - 1 :: HELD_OUT]
    rows = [row for row in rows if row not in held_out]
    base = charter.load(settings.model, bf16=settings.bf16)
    found = [
        language_model("base", base, held_out, settings),
        language_model("prompted", base, [under(settings.prompt, row) for row in held_out], settings),
    ]
    for name, algorithm, data, more in (
        (
            "distilled",
            "context-distillation",
            answers_under_the_prompt(base, rows, settings),
            distilled(settings),
        ),
        ("imitation", "imitation", rows, {}),
        ("binary discrimination", "binary-discrimination", [best_and_worst(row) for row in rows], {}),
    ):
        policy = settings.train(name.replace(" ", "-"), algorithm, data, **more)
        found.append(language_model(name, policy, held_out, settings))
    found += preference_models(rows, held_out, settings)
    settings.output.mkdir(parents=True, exist_ok=True)
    report = json.dumps([vars(measured) for measured in found], indent=1)
    (settings.output / "hhh.json").write_text(report + "\n", encoding="utf-8")
    return found


def preference_models(rows: list[Row], held_out: list[Row], settings: Settings) -> list[Measured]:
    """Ranked preference modelling, from the language model and after pretraining on votes."""
    if REWARD not in ENTRIES:
        print(f"preference models are left out: this version has no algorithm {REWARD!r}")
        return []
    ranked = settings.train("ranked", REWARD, rows)
    votes = [pair for row in read(HERE / "votes.jsonl") for pair in made_binary(row)]
    pretrained = settings.train("pretrained", PRETRAINING if PRETRAINING in ENTRIES else REWARD, votes)
    after = settings.train("ranked-after-pretraining", REWARD, rows, start=pretrained)
    return [
        Measured("ranked preference model", reward_accuracy(ranked, held_out)),
        Measured("the same after pretraining on votes", reward_accuracy(after, held_out)),
    ]


# -- data ----------------------------------------------------------------------------------


def read(path: Path) -> list[Row]:
    """Rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def under(prompt: str, row: Row) -> Row:
    """The row with the prompt as its system turn."""
    return {**row, "prompt": [{"role": "system", "content": prompt}, *row["prompt"]]}


def best_and_worst(row: Row) -> Row:
    """A ranked row as one pair."""
    order = sorted(range(len(row["ranks"])), key=row["ranks"].__getitem__)
    return {
        "prompt": row["prompt"],
        "chosen": row["responses"][order[0]],
        "rejected": row["responses"][order[-1]],
    }


def made_binary(row: Row) -> list[Row]:
    """``GOOD: a > BAD: a`` and ``BAD: b > GOOD: b`` of a vote for ``a`` over ``b`` (paper, section 4.1).

    A model that learns them learns what marks a good answer, and nothing yet about how
    one good answer compares with another, which finetuning would have to undo.
    """

    def marked(word: str, answer: list[Row]) -> list[Row]:
        return [{"role": "assistant", "content": f"{word}: {answer[0]['content']}"}]

    pairs = [("GOOD", "BAD", row["chosen"]), ("BAD", "GOOD", row["rejected"])]
    return [
        {"prompt": row["prompt"], "chosen": marked(right, answer), "rejected": marked(wrong, answer)}
        for right, wrong, answer in pairs
    ]


def answers_under_the_prompt(base: Policy, rows: list[Row], settings: Settings) -> list[Row]:
    """What the prompted model answers, after the question alone."""
    asked = [{"prompt": under(settings.prompt, row)["prompt"]} for row in rows]
    groups = charter.sample(base, asked, max_completion_length=settings.max_completion_length, seed=1)
    answers = [group.samples[0].completion.text for group in groups]
    return [
        {"prompt": row["prompt"], "completion": [{"role": "assistant", "content": answer}]}
        for row, answer in zip(rows, answers, strict=True)
        if answer.strip() and "\0" not in answer  # a data file may hold neither
    ]


def distilled(settings: Settings) -> dict[str, Any]:
    """Options of the distilled arm."""
    return {"teacher_context": settings.prompt, "distillation_topk": 50}


# -- measures ------------------------------------------------------------------------------


def language_model(arm: str, policy: Policy, rows: list[Row], settings: Settings) -> Measured:
    """Accuracy by log-prob per token, likelihood of the best answers, distance to the prompted model."""
    groups = rendered(policy, rows)
    per_token = [
        [total / sum(sample.completion.trained) for total, sample in zip(totals, group.samples, strict=True)]
        for totals, group in zip(logps_of(policy, groups), groups, strict=True)
    ]
    nll = -sum(scores[0] for scores in per_token) / len(per_token)
    apart = 0.0 if arm == "prompted" else to_prompted(policy, rows, settings)
    return Measured(arm, accuracy(per_token), nll, apart)


def to_prompted(policy: Policy, rows: list[Row], settings: Settings) -> float:
    """Mean KL(prompted base || policy) per token of the best answers: what of the prompt is not built in."""
    options = DistillationOptions(teacher_context=settings.prompt)
    best = [{"prompt": row["prompt"], "completion": row["responses"][0]} for row in rows]
    groups = prepare(with_teacher(load_groups(best, "sft"), options), policy.template).groups
    batch = MicroBatch.of(aligned(groups, options))
    # The base is the policy with its adapter off.
    apart_N = Snapshot(Divergence("forward_kl"), Reference(None)).divergence(policy, batch)
    return float(apart_N.detach().mean())


def reward_accuracy(policy: Policy, rows: list[Row]) -> float:
    """Accuracy of a preference model's rewards."""
    groups = rendered(policy, rows)
    samples = [sample for group in groups for sample in group.samples]
    rewards = iter(rewards_of(policy, samples, [[-1]] * len(samples)))
    return accuracy([[float(next(rewards)) for _ in group.samples] for group in groups])


def accuracy(scores: list[list[float]]) -> float:
    """Share of ordered pairs whose better answer scores higher; answers stand best first."""
    right = [own[i] > own[j] for own in scores for i, j in permutations(range(len(own)), 2) if i < j]
    return sum(right) / len(right)


def rendered(policy: Policy, rows: list[Row]) -> Sequence[Group]:
    """Held-out rows as token ids."""
    return prepare(load_groups(list(rows), "preference"), policy.template).groups


def main(arguments: Sequence[str] | None = None) -> list[Measured]:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--output", type=Path, default=Path("runs/hhh"))
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--learning-rate", type=float, default=Settings.learning_rate)
    given = parser.parse_args(arguments)
    found = run(Settings(given.model, given.output, given.steps, given.learning_rate))
    print(f"{'arm':<38}{'accuracy':>9}{'nll':>8}{'to prompted':>13}")
    for one in found:
        rest = (
            "" if one.nll is None or one.to_prompted is None else f"{one.nll:>8.3f}{one.to_prompted:>13.4f}"
        )
        print(f"{one.arm:<38}{one.accuracy:>9.2f}{rest}")
    return found


if __name__ == "__main__":
    main()
