"""The local decoder against transformers' ``generate``: same weights, same prompts, both bfloat16.

    python benchmarks/decoder_vs_generate.py            # the table, and results/decoder_vs_generate.json
    python benchmarks/decoder_vs_generate.py --quick    # two small rows, nothing written

Rows ``batch-B``: B random prompts of 64 tokens, exactly 32 sampled tokens each, a randomly
initialised model of the default model's shape. Rows ``chat-B``: 32 questions to the default model
itself, 4 answers each, which end when the model ends them; both sides compute at most B rows at once.
Speed is tokens sampled per second, prefill included. The decoder also returns log-probabilities;
``generate`` is not asked for them. The two run in turn, and medians are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.models.load import load
from charter.models.policy import Policy
from charter.rundir import machine, now, versions, write_json
from charter.testing.tiny import tiny_model, tiny_tokenizer
from charter.types import Context, Message

RESULT = Path(__file__).parent / "results" / "decoder_vs_generate.json"
PROMPT, LENGTH = 64, 32
CHAT_LENGTH, CHAT_SAMPLES = 80, 4

Ids = list[tuple[int, ...]]
Run = Callable[[], int]
"""Samples once; returns the number of tokens sampled."""


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    if os.getloadavg()[0] > 0.5:
        print(
            f"the machine is busy (load {os.getloadavg()[0]:.1f}): do not keep these numbers", file=sys.stderr
        )
    rows = []
    model = default_shape()
    for batch in (8, 32) if options.quick else (8, 32, 128):
        rows.append(compare(f"batch-{batch}", *random_prompts(model, batch), options.repeats))
    if not options.quick:
        policy = load("smollm2-135m")
        for batch in (32, 128):
            rows.append(compare(f"chat-{batch}", *chat(policy, batch), options.repeats))
    print_table(rows)
    if not options.quick:
        RESULT.parent.mkdir(exist_ok=True)
        command = " ".join(["python", "benchmarks/decoder_vs_generate.py", *sys.argv[1:]])
        write_json(
            RESULT,
            {
                "command": command,
                "date": now(),
                "machine": {**machine(), "threads": options.threads},
                "versions": versions(),
                "rows": rows,
            },
        )
        print(f"written: {RESULT}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small rows only, write nothing")
    return parser.parse_args()


def default_shape() -> Any:
    """A random model of the default model's shape, in bfloat16, which never ends a turn."""
    model = tiny_model(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        initializer_range=0.02,
    ).to(torch.bfloat16)
    model.generation_config.eos_token_id = None
    return model


def random_prompts(model: Any, batch: int) -> tuple[Run, Run]:
    numbers = np.random.default_rng(batch).integers(300, 49152, (batch, PROMPT))
    contexts = [Context(token_ids=tuple(row)) for row in numbers.tolist()]
    engine = LocalEngine(model, tiny_tokenizer(), stop_ids=())
    sampling = Sampling(max_completion_length=LENGTH)

    def ours() -> int:
        return sampled(engine.generate(contexts, 1, sampling))

    def peer() -> int:
        ids = torch.from_numpy(numbers)
        return generate(model, ids, torch.ones_like(ids), LENGTH, pad=257).numel()

    return ours, peer


def chat(policy: Policy, batch: int) -> tuple[Run, Run]:
    contexts = [question(policy, text) for text in QUESTIONS]
    engine = LocalEngine(policy.model, policy.tokenizer, max_rows=batch)
    sampling = Sampling(max_completion_length=CHAT_LENGTH)

    def ours() -> int:
        return sampled(engine.generate(contexts, CHAT_SAMPLES, sampling))

    def peer() -> int:
        prompts = [context.token_ids for context in contexts for _ in range(CHAT_SAMPLES)]
        pad = policy.tokenizer.pad_token_id
        total = 0
        for start in range(0, len(prompts), batch):
            ids, mask = left_padded(prompts[start : start + batch], pad)
            total += until_the_end(generate(policy.model, ids, mask, CHAT_LENGTH, pad=pad), pad)
        return total

    return ours, peer


def question(policy: Policy, text: str) -> Context:
    turns = (Message("user", text),)
    return Context(turns, policy.template.render_context(turns))


def left_padded(prompts: Sequence[tuple[int, ...]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def generate(model: Any, ids: torch.Tensor, mask: torch.Tensor, length: int, *, pad: int) -> torch.Tensor:
    with torch.inference_mode():
        out: torch.Tensor = model.generate(
            ids, attention_mask=mask, do_sample=True, top_k=0, max_new_tokens=length, pad_token_id=pad
        )
    return out[:, ids.shape[1] :]


def until_the_end(out: torch.Tensor, end: int) -> int:
    """Tokens up to and with the first ``end`` of each row; the padding behind it is the same token."""
    ends = (out == end).int().cumsum(-1)
    return int(((ends == 0) | ((ends == 1) & (out == end))).sum())


def sampled(groups: Sequence[Any]) -> int:
    return sum(len(sample.completion.token_ids) for group in groups for sample in group.samples)


def compare(name: str, ours: Run, peer: Run, repeats: int) -> dict[str, Any]:
    """Time both in turn, so that a slow minute hits both; the first of each is not counted."""
    speeds: dict[Run, list[float]] = {ours: [], peer: []}
    ours(), peer()
    for turn in range(repeats):
        for run in (ours, peer) if turn % 2 == 0 else (peer, ours):
            started = time.perf_counter()
            tokens = run()
            speeds[run].append(tokens / (time.perf_counter() - started))
    mine, theirs = (statistics.median(speeds[run]) for run in (ours, peer))
    return {
        "name": name,
        "ours": round(mine, 1),
        "peer": round(theirs, 1),
        "ratio": round(mine / theirs, 2),
        "unit": "tokens/s",
    }


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    print(f"{'row':<12}{'decoder':>10}{'generate':>10}{'ratio':>8}  unit")
    for row in rows:
        print(f"{row['name']:<12}{row['ours']:>10}{row['peer']:>10}{row['ratio']:>8}  {row['unit']}")


QUESTIONS = (
    "What is gravity?",
    "Name three fruits.",
    "Write a haiku about rain.",
    "Who are you?",
    "How do I boil an egg?",
    "Tell me a joke.",
    "Explain inflation in one sentence.",
    "Is the earth flat?",
    "What is the capital of France?",
    "How long does it take to walk ten kilometres?",
    "Give me a name for a grey cat.",
    "Why is the sky blue?",
    "What should I cook tonight?",
    "Translate 'good morning' into Spanish.",
    "How many legs does a spider have?",
    "What is a prime number?",
    "Recommend a book about the sea.",
    "Can fish sleep?",
    "Describe a sunset.",
    "What does a plumber do?",
    "How do I learn to swim?",
    "Who wrote Hamlet?",
    "What is the difference between weather and climate?",
    "Give me two tips for sleeping better.",
    "Is tomato a fruit?",
    "What is seven times eight?",
    "How do bees make honey?",
    "Write a polite reply to an invitation.",
    "What is recycling?",
    "Why do cats purr?",
    "What is a black hole?",
    "How do I remove a coffee stain?",
)


if __name__ == "__main__":
    main()
