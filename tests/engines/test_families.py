"""The decoder gives transformers' greedy tokens, and the scorer's log-probs, for every family it claims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from charter.data.packing import pack
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine, decodes
from charter.models.policy import adapter_off
from charter.models.score import score
from charter.testing.tiny import FAMILIES, tiny_model, tiny_tokenizer
from charter.types import Context

TOKENIZER = tiny_tokenizer()
GREEDY = Sampling(temperature=0, max_completion_length=40)


def contexts(count: int, longest: int = 60) -> list[Context]:
    rng = np.random.default_rng(0)
    found = [
        Context(token_ids=tuple(rng.integers(0, 256, length).tolist()))
        for length in rng.integers(1, longest, count - 2)
    ]
    return [*found, Context(token_ids=(*found[0].token_ids, 3)), Context(token_ids=(7,))]


def transformers_greedy(model: Any, context: Context, length: int = 40) -> tuple[int, ...]:
    ids = torch.tensor([context.token_ids])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=length,
        eos_token_id=257,
        pad_token_id=257,
    )
    return tuple(out[0, ids.shape[1] :].tolist())


def completions(model: Any, asked: list[Context], sampling: Sampling, policy: str = "policy") -> list[Any]:
    engine = LocalEngine(model, TOKENIZER, compute_dtype=torch.float32, max_rows=5)
    groups = engine.generate(asked, 1, sampling, policy=policy)
    return [group.samples[0] for group in groups]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_greedy_is_transformers_token_for_token(family: str) -> None:
    """Prompts and completions outgrow the sliding windows."""
    model = tiny_model(5, family)
    assert decodes(model)
    asked = contexts(12)
    found = [s.completion.token_ids for s in completions(model, asked, GREEDY)]
    assert found == [transformers_greedy(model, c) for c in asked]
    assert len(set(found)) > 6


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"llama"}))
def test_log_probabilities_are_those_the_trainer_recomputes(family: str) -> None:
    model = tiny_model(5, family)
    options = Sampling(temperature=0.7, max_completion_length=30, seed=2)
    samples = completions(model, contexts(8), options)
    with torch.no_grad():
        recomputed = score(model, pack(samples), temperature=0.7).logps_N
    recorded = torch.tensor([logp for s in samples for logp in s.completion.logps])
    torch.testing.assert_close(recorded, recomputed, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["phi3", "gemma3_text"])
def test_adapters_and_the_reference_without_them(family: str) -> None:
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(tiny_model(5, family), lora).eval()
    asked = contexts(5)
    own = [s.completion.token_ids for s in completions(model, asked, GREEDY)]
    base = [s.completion.token_ids for s in completions(model, asked, GREEDY, "reference")]
    assert own == [transformers_greedy(model, c) for c in asked]
    with adapter_off(model):
        assert base == [transformers_greedy(model, c) for c in asked]
    assert own != base


@pytest.mark.parametrize(
    "model",
    [
        lambda: tiny_model(0, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}),
        lambda: get_peft_model(
            tiny_model(0, tie_word_embeddings=False),
            LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"]),
        ),
    ],
    ids=["angles-by-length", "a-head-of-the-adapter's-own"],
)
def test_what_the_decoder_would_get_wrong_goes_to_transformers(model: Any) -> None:
    made = model()
    assert not decodes(made)
    asked = contexts(4)
    found = [s.completion.token_ids for s in completions(made, asked, GREEDY)]
    assert found == [transformers_greedy(made, c) for c in asked]
