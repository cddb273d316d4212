"""Architectures the decoder does not know give completions with the same fields and meaning."""

from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from charter.data.packing import pack
from charter.engines import fallback
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.errors import TrainingFault
from charter.models.score import score
from charter.testing.tiny import tiny_model, tiny_tokenizer
from charter.types import Context

CONTEXTS = [Context(token_ids=ids) for ids in ((1, 2, 3, 4, 5, 6, 7), (9,), (30, 31, 32), (1, 2))]


@pytest.fixture
def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


def engine(model, **options):
    return LocalEngine(model, tiny_tokenizer(), compute_dtype=torch.float32, **options)


def completions(groups):
    return [sample.completion for group in groups for sample in group.samples]


def test_greedy_is_transformers_token_for_token_without_the_checkpoints_own_penalties(gpt2):
    gpt2.generation_config.repetition_penalty = 1.8
    made = completions(
        engine(gpt2, max_rows=3).generate(CONTEXTS, 1, Sampling(temperature=0, max_completion_length=20))
    )
    assert gpt2.generation_config.repetition_penalty == 1.8
    gpt2.generation_config.repetition_penalty = 1.0
    for context, c in zip(CONTEXTS, made, strict=True):
        ids = torch.tensor([context.token_ids])
        out = gpt2.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=20,
            eos_token_id=257,
            pad_token_id=0,
        )
        assert c.token_ids == tuple(out[0, ids.shape[1] :].tolist())
        assert c.finish_reason == ("stop" if c.token_ids[-1] == 257 else "length")


def test_sampling_is_seeded_per_completion_and_records_what_the_trainer_recomputes(gpt2):
    options = Sampling(temperature=0.8, top_k=100, max_completion_length=12, seed=3)
    groups = engine(gpt2, max_rows=5).generate(CONTEXTS, 3, options)
    alone = engine(gpt2, max_rows=1).generate(CONTEXTS, 3, options)
    assert [c.token_ids for c in completions(groups)] == [c.token_ids for c in completions(alone)]
    samples = [s for group in groups for s in group.samples]
    with torch.no_grad():
        recomputed = score(gpt2, pack(samples), temperature=0.8).logps_N
    recorded = torch.tensor([logp for s in samples for logp in s.completion.logps])
    torch.testing.assert_close(recorded, recomputed, atol=1e-4, rtol=1e-4)


def test_both_ways_choose_the_same_tokens():
    """A Llama sent the slow way draws what the decoder draws."""
    model, options = tiny_model(2), Sampling(max_completion_length=15, seed=1, top_p=0.9, stop=("e", "qu"))
    fast = engine(model)
    slow = engine(model)
    slow._models["policy"] = replace(slow._models["policy"], weights=None)
    a, b = fast.generate(CONTEXTS, 4, options), slow.generate(CONTEXTS, 4, options)
    assert [(c.token_ids, c.text, c.finish_reason) for c in completions(a)] == [
        (c.token_ids, c.text, c.finish_reason) for c in completions(b)
    ]


def test_limits_differ_by_row(gpt2):
    contexts = [Context(token_ids=(1,) * 60), Context(token_ids=(1,))]
    long, short = completions(
        engine(gpt2, stop_ids=()).generate(contexts, 1, Sampling(max_completion_length=10))
    )
    assert (len(long.token_ids), len(short.token_ids)) == (4, 10)


def test_versions_progress_and_damaged_weights(gpt2):
    sampler = engine(gpt2, max_rows=2)
    sampler.load_weights(gpt2, 4)
    seen = []
    made = completions(
        sampler.generate(CONTEXTS, 1, Sampling(max_completion_length=3), on_progress=seen.append)
    )
    assert {c.weight_version for c in made} == {4}
    assert sum(seen) == len(CONTEXTS)
    gpt2.transformer.ln_f.weight.data[0] = float("nan")
    with pytest.raises(TrainingFault):
        sampler.load_weights(gpt2, 5)
    assert sampler.weight_version == 4


def test_it_says_so_once(gpt2, monkeypatch):
    said = []
    monkeypatch.setattr(fallback, "say", said.append)
    monkeypatch.setattr(fallback, "_announced", set())
    engine(gpt2)
    engine(gpt2)
    assert len(said) == 1
    assert "gpt2" in said[0]
