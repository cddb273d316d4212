"""The preference rows all trainers read: real words, exact token counts, the same in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from passages import model_folder, passage, words
from trl_methods import METHODS

from charter.rundir import write_jsonl

LENGTHS: dict[str, dict[str, Any]] = {
    "equal": {"prompt": 128, "answer": 128, "sigma": 0.0, "cap": 512},
    "lognormal": {"prompt": 64, "answer": 96, "sigma": 0.6, "cap": 512},
    "check": {"prompt": 24, "answer": 32, "sigma": 0.6, "cap": 128},
}
"""Median tokens of prompts and answers, spread of their logarithm, most tokens of both together."""
SHORTEST = 8
"""No prompt or answer has fewer tokens than this."""


def prepare(job: Mapping[str, Any]) -> dict[str, Any]:
    """Fetch the model and write the rows all trainers read: ``{"model", "rows"}``, two paths.

    ``chosen`` is prose, ``rejected`` the words of prose in random order, so that
    there is something to learn and the loss curves move.
    """
    from transformers import AutoTokenizer

    folder = Path(job["folder"])
    model = model_folder(job["model"], folder)
    tokenizer = AutoTokenizer.from_pretrained(str(model))
    rng = random.Random(f"dpo:{job['lengths']}")
    questions, prose = words()
    rows = []
    for prompt, chosen, rejected in _lengths(job, rng):
        rows.append(
            {
                "prompt": passage(tokenizer, questions, prompt, rng),
                "chosen": " " + passage(tokenizer, prose, chosen - 1, rng, lead=" "),
                "rejected": " " + passage(tokenizer, prose, rejected - 1, rng, lead=" ", shuffled=True),
            }
        )
    path = folder / f"{job['lengths']}.jsonl"
    method = METHODS[job["method"]]
    write_jsonl(path, [method.rows(row, number) for number, row in enumerate(rows)])
    if method.name == "rm":
        model = _with_reward_head(model, folder)
    return {"model": str(model), "rows": str(path)}


def _with_reward_head(model: Path, folder: Path) -> Path:
    """One reward model for both sides: the same head, and padding that never ends a text."""
    import torch

    from charter.models.load import load
    from charter.models.reward import with_reward_head

    target = folder / "reward-model"
    if not (target / "config.json").exists():
        policy = load(str(model))
        made = with_reward_head(policy.model, 1, seed=0)
        made.score.to(torch.float32)
        spare = next(t for t in policy.tokenizer.all_special_tokens if t != policy.tokenizer.eos_token)
        policy.tokenizer.pad_token = spare
        made.config.pad_token_id = policy.tokenizer.pad_token_id
        made.save_pretrained(str(target))
        policy.tokenizer.save_pretrained(str(target))
    return target


def _lengths(job: Mapping[str, Any], rng: random.Random) -> Iterator[tuple[int, int, int]]:
    """Tokens of prompt, chosen and rejected (with eos) of every pair; ``sigma`` 0 makes all equal."""

    def draw(median: int, most: int) -> int:
        return min(max(round(median * rng.lognormvariate(0, job["sigma"])), SHORTEST), most)

    def pair() -> tuple[int, int, int]:
        prompt = draw(job["prompt"], job["cap"] // 2)
        return prompt, draw(job["answer"], job["cap"] - prompt), draw(job["answer"], job["cap"] - prompt)

    for _ in range(job["steps"]):
        # Sorted inside a step, so that a peer that takes rows as they come pads little.
        yield from sorted((pair() for _ in range(job["pairs"])), key=lambda p: p[0] + max(p[1:]))
