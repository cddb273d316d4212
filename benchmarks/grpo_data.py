"""What both sides of ``grpo_vs_trl.py`` get: a model that ends no answer, prompts, recorded rollouts."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from passages import model_folder, passage, words

from charter.rundir import write_json, write_jsonl

CHECK_PROMPTS = (24, 40)
"""Tokens of the prompts on which losses and gradients are compared."""
CHECK_ANSWER = (4, 24)
"""Tokens of the answers to them, from and to."""

NUMBERS = (
    "The lottery numbers this week are",
    "My telephone numbers were",
    "The temperatures of the last days:",
    "Scores of the match, round by round:",
    "The winning tickets are",
    "Prices in the shop today:",
    "Page numbers to read:",
    "The measured values were",
)
"""How the prompts of the toy task begin; numbers follow."""


def letters(completions: Sequence[str], **columns: Any) -> list[float]:
    """Share of the letter e: cheap, and rarely the same for two answers."""
    return [text.count("e") / max(len(text), 1) for text in completions]


def digits(completions: Sequence[str], **columns: Any) -> list[float]:
    """Share of digits: the toy task, which the model half does and soon learns."""
    return [sum(map(str.isdigit, text)) / max(len(text), 1) for text in completions]


REWARDS = {"letters": letters, "digits": digits}

LEARNING_RATE = {"step": 1e-6, "check": 1e-6, "reward": 2e-5}
MAX_GRAD_NORM = {"step": 1.0, "check": 1e9, "reward": 1.0}
"""The compared gradient is not clipped."""


def shared_options(job: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the same name and value on both sides."""
    return {
        "learning_rate": LEARNING_RATE[job["task"]],
        "lr_scheduler_type": "constant",
        "max_grad_norm": MAX_GRAD_NORM[job["task"]],
        "max_steps": job["steps"],
        "num_generations": job["generations"],
        "max_completion_length": job["new_tokens"],
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "beta": 0.0,
        "epsilon": 0.2,
        "loss_type": "dapo",
        "scale_rewards": "group",
        "num_iterations": 1,
        "seed": job["seed"],
    }


def recorded(job: Mapping[str, Any]) -> dict[tuple[int, ...], list[list[int]]]:
    """Completions to be learnt from in place of sampled ones, by prompt; none but in a ``check``."""
    if job["task"] != "check":
        return {}
    rows = json.loads(Path(job["completions"]).read_text(encoding="utf-8"))
    return {tuple(row["prompt"]): row["completions"] for row in rows}


def prepare(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model and the prompts: ``{"model", "prompts": {kind: path}, "completions": path}``.

    ``prompts`` has a kind for each number of tokens in ``job["lengths"]``, ``check`` and ``reward``.
    """
    from transformers import AutoTokenizer

    folder = Path(job["folder"])
    model = _endless(model_folder(job["model"], folder), folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(str(model))
    rng = random.Random("grpo")
    questions, prose = words()
    texts = {
        str(tokens): [passage(tokenizer, questions, tokens, rng) for _ in range(job["rounds"])]
        for tokens in job["lengths"]
    }
    texts["check"] = [passage(tokenizer, prose, tokens, rng) for tokens in CHECK_PROMPTS]
    texts["reward"] = [_numbers(begin, rng) for begin in NUMBERS for _ in range(4)]
    paths = {}
    for kind, prompts in texts.items():
        paths[kind] = str(folder / f"prompts-{kind}.jsonl")
        write_jsonl(Path(paths[kind]), [{"prompt": text} for text in prompts])
    completions = folder / "completions.json"
    write_json(completions, _completions(tokenizer, texts["check"], prose, job["generations"], rng))
    return {"model": str(model), "prompts": paths, "completions": str(completions)}


def _numbers(begin: str, rng: random.Random) -> str:
    return f"{begin} {rng.randrange(10, 99)}, {rng.randrange(10, 99)}, {rng.randrange(10, 99)},"


def _completions(
    tokenizer: Any, prompts: Sequence[str], prose: Sequence[str], count: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Answers of many lengths to each prompt, as token ids: the rollouts that both sides learn from."""

    def answer() -> list[int]:
        text = passage(tokenizer, prose, rng.randint(*CHECK_ANSWER), rng, lead=" ")
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    return [
        {"prompt": tokenizer(prompt)["input_ids"], "completions": [answer() for _ in range(count)]}
        for prompt in prompts
    ]


def _endless(source: Path, target: Path) -> Path:
    """A copy of the model whose end of turn is a token it was never taught, so no answer ends early.

    Both sides then do the same work: every answer has exactly as many tokens as are allowed.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if (target / "config.json").exists():
        return target
    model = AutoModelForCausalLM.from_pretrained(str(source), dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(str(source))
    end = _spare_token(tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace(tokenizer.eos_token, end)
    tokenizer.eos_token = tokenizer.pad_token = end
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    model.save_pretrained(str(target))
    tokenizer.save_pretrained(str(target))
    return target


def _spare_token(tokenizer: Any) -> str:
    """A special token that neither the template nor any text uses; else some token of the vocabulary."""
    used = {tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token, tokenizer.unk_token}
    added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    for token in reversed(added):
        if token not in used and token not in tokenizer.chat_template:
            return token
    return str(tokenizer.convert_ids_to_tokens(0))
