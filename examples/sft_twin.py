"""Supervised fine-tuning in one file: plain transformers, padded batches, no Charter.

It computes what `charter train sft` computes (same rows, same order, same loss,
same optimizer), one plain line at a time, and agrees with it to rounding.

    python sft_twin.py MODEL rows.jsonl

A row holds `prompt` and `completion`, each a list of {role, content}.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Encoded = tuple[list[int], int]
"""Token ids of a conversation, and how many of them are the prompt."""


def encode(tokenizer: Any, prompt: list[dict[str, str]], answer: list[dict[str, str]]) -> Encoded:
    """The ids the model sees; they end with the token that ends the answer, which is learnt too."""
    head = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*prompt, *answer], return_dict=False)
    while whole[-1] != tokenizer.eos_token_id:  # templates write a line break behind it
        whole = whole[:-1]
    assert whole[: len(head)] == head
    return whole, len(head)


def token_nll(model: Any, encoded: Sequence[Encoded]) -> Tensor:
    """Mean negative log-likelihood over all answer tokens of the batch: not a mean of means."""
    width = max(len(ids) for ids, _ in encoded)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in encoded])
    seen = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in encoded])
    scored = seen.clone()
    for row, (_, prompt) in enumerate(encoded):
        scored[row, :prompt] = 0
    logits = model(input_ids=ids, attention_mask=seen).logits[:, :-1].float()
    logps = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])[..., 0]
    return -(logps * scored[:, 1:]).sum() / scored[:, 1:].sum()


def batch_of(rows: Sequence[Any], step: int, batch_size: int, seed: int) -> list[Any]:
    """The rows of one step: every epoch has an order of its own."""
    per_epoch = -(-len(rows) // batch_size)
    epoch, within = divmod(step, per_epoch)
    order = list(range(len(rows)))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return [rows[i] for i in order[within * batch_size : (within + 1) * batch_size]]


def train(
    model: Any,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]],
    *,
    steps: int,
    batch_size: int = 8,
    learning_rate: float = 2e-5,
    max_grad_norm: float = 1.0,
    seed: int = 42,
) -> list[float]:
    """Train all weights of `model` in place; returns the loss of every step."""
    encoded = [encode(tokenizer, row["prompt"], row["completion"]) for row in rows]
    model.requires_grad_(True).eval()
    # transformers gives the padding token no gradient; where that is the end-of-turn token, it must learn.
    model.get_input_embeddings().padding_idx = None
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    losses = []
    for step in range(steps):
        loss = token_nll(model, batch_of(encoded, step, batch_size, seed))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


if __name__ == "__main__":
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name, path = sys.argv[1:3]
    with open(path, encoding="utf-8") as file:
        data = [json.loads(line) for line in file if line.strip()]
    policy = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    for number, value in enumerate(train(policy, AutoTokenizer.from_pretrained(name), data, steps=20), 1):
        print(f"step {number}  loss {value:.4f}")
