"""The local decoder against transformers and against the scoring forward."""

import re

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from charter import interrupt
from charter.data.packing import pack
from charter.engines import batching
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine, decodes
from charter.errors import Interrupted, TrainingFault, UserError
from charter.models.policy import adapter_off
from charter.models.score import score
from charter.testing.tiny import tiny_model, tiny_tokenizer
from charter.types import Context, Message

TOKENIZER = tiny_tokenizer()
GREEDY = Sampling(temperature=0, max_completion_length=30)


def contexts(count, seed=0, longest=60):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, count)
    return [Context(token_ids=tuple(rng.integers(0, 256, length).tolist())) for length in lengths]


def engine(model, **options):
    return LocalEngine(model, TOKENIZER, **{"compute_dtype": torch.float32, "max_rows": 6, **options})


def transformers_greedy(model, context, length, stop=257):
    ids = torch.tensor([context.token_ids])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=length,
        eos_token_id=stop,
        pad_token_id=257,
    )
    return tuple(out[0, ids.shape[1] :].tolist())


def completions(groups):
    return [sample.completion for group in groups for sample in group.samples]


@pytest.fixture(scope="module")
def model():
    return tiny_model(3)


def lora(seed=0, **fields):
    torch.manual_seed(seed)
    model = get_peft_model(tiny_model(seed, **fields), LoraConfig(r=4, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return model.eval()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"num_key_value_heads": 6},
        {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ],
    ids=["grouped", "multi-head", "untied-biased", "scaled-rope"],
)
def test_greedy_is_transformers_token_for_token(fields):
    model = tiny_model(5, **fields)
    asked = contexts(15)
    groups = engine(model).generate(asked, 1, GREEDY)
    for context, group in zip(asked, groups, strict=True):
        assert group.samples[0].context is context
        assert group.samples[0].completion.token_ids == transformers_greedy(model, context, 30)


def test_greedy_with_an_adapter_is_peft_and_the_reference_is_the_base():
    model = lora()
    asked = contexts(6)
    sampler = engine(model)
    own = completions(sampler.generate(asked, 1, GREEDY))
    base = completions(sampler.generate(asked, 1, GREEDY, policy="reference"))
    assert [c.token_ids for c in own] == [transformers_greedy(model, c, 30) for c in asked]
    with adapter_off(model):
        assert [c.token_ids for c in base] == [transformers_greedy(model, c, 30) for c in asked]
    assert [c.token_ids for c in own] != [c.token_ids for c in base]
    assert {c.sampled_by for c in own} == {"policy"}
    assert {c.sampled_by for c in base} == {"reference"}


def test_log_probabilities_are_those_the_trainer_recomputes(model):
    options = Sampling(temperature=0.7, top_p=0.8, max_completion_length=25, seed=2)
    samples = [s for group in engine(model).generate(contexts(9), 3, options) for s in group.samples]
    with torch.no_grad():
        recomputed = score(model, pack(samples), temperature=0.7).logps_N
    recorded = torch.tensor([logp for s in samples for logp in s.completion.logps])
    torch.testing.assert_close(recorded, recomputed, atol=2e-5, rtol=1e-5)
    assert all(all(s.completion.trained) for s in samples)


def test_log_probabilities_in_bfloat16_stay_close_to_the_trainer(model):
    samples = [
        s
        for g in engine(model, compute_dtype=torch.bfloat16).generate(contexts(9), 2, Sampling())
        for s in g.samples
    ]
    with torch.no_grad():
        recomputed = score(model, pack(samples), compute_dtype=torch.bfloat16).logps_N
    recorded = torch.tensor([logp for s in samples for logp in s.completion.logps])
    assert (recorded - recomputed).abs().mean() < 0.02


def test_the_same_request_gives_the_same_completions_however_it_is_batched(model, monkeypatch):
    asked = contexts(14, seed=1)
    options = Sampling(max_completion_length=20, seed=9, top_k=50)
    want = engine(model, max_rows=64).generate(asked, 3, options)
    ids = [c.token_ids for c in completions(want)]
    assert len(set(ids)) > 35
    assert [c.token_ids for c in completions(engine(model, max_rows=1).generate(asked, 3, options))] == ids
    monkeypatch.setattr(batching, "PREFILL_TOKENS", 40)
    monkeypatch.setattr(batching, "HEAD_ROWS", 3)
    assert [c.token_ids for c in completions(engine(model, max_rows=7).generate(asked, 3, options))] == ids
    backwards = engine(model).generate(asked[::-1], 3, options)[::-1]
    assert [c.token_ids for c in completions(backwards)] == ids
    in_parts = engine(model).generate(asked[:5], 3, options) + engine(model).generate(asked[5:], 3, options)
    assert [c.token_ids for c in completions(in_parts)] == ids


def test_seeds_and_repeated_contexts_give_other_completions(model):
    asked = contexts(1, seed=4) * 2
    options = Sampling(max_completion_length=12)
    first, second = engine(model).generate(asked, 1, options)
    assert first.samples[0].completion.token_ids != second.samples[0].completion.token_ids
    other, _ = engine(model).generate(asked, 1, options.model_copy(update={"seed": 1}))
    assert other.samples[0].completion.token_ids != first.samples[0].completion.token_ids


def test_samples_follow_the_models_distribution():
    """The first token of 4,000 samples against its exact probabilities."""
    model = tiny_model(1, initializer_range=0.4)
    context = Context(token_ids=(5, 6, 7))
    groups = engine(model, max_rows=256).generate([context], 4000, Sampling(max_completion_length=1))
    first = torch.tensor([c.token_ids[0] for c in completions(groups)])
    with torch.no_grad():
        probs = torch.softmax(model(torch.tensor([context.token_ids])).logits[0, -1].double(), -1)
    counts = torch.bincount(first, minlength=258).double()
    often = probs * 4000 >= 5
    seen = torch.cat([counts[often], counts[~often].sum()[None]])
    want = torch.cat([probs[often], probs[~often].sum()[None]]) * 4000
    statistic = float(((seen - want) ** 2 / want).sum())
    from scipy.stats import chi2

    assert statistic < chi2.ppf(0.999, len(want) - 1)


def test_stop_tokens_end_a_completion_and_belong_to_it(model):
    asked = contexts(12)
    free = completions(engine(model, stop_ids=()).generate(asked, 1, GREEDY))
    assert {c.finish_reason for c in free} == {"length"}
    stop = free[0].token_ids[4]
    ended = completions(engine(model, stop_ids=[stop]).generate(asked, 1, GREEDY))
    assert ended[0].finish_reason == "stop"
    for a, b in zip(free, ended, strict=True):
        cut = a.token_ids.index(stop) + 1 if stop in a.token_ids else len(a.token_ids)
        assert b.token_ids == a.token_ids[:cut]
        assert b.finish_reason == ("stop" if stop in a.token_ids else "length")
        assert len(b.logps) == cut


def test_end_of_turn_and_configured_ids_stop_by_default():
    model = tiny_model(3)
    model.generation_config.eos_token_id = [257, 40]
    assert set(engine(model)._stop_ids) == {257, 40}


def test_special_tokens_are_in_the_ids_but_not_in_the_text():
    model = tiny_model(3)
    sampler = engine(model, stop_ids=[257])
    context = Context((Message("user", "hi"),), (1, 2, 3))
    options = Sampling(max_completion_length=400, temperature=1.5)
    made = completions(sampler.generate([context], 64, options))
    stopped = [c for c in made if c.finish_reason == "stop"]
    assert stopped
    for c in stopped:
        assert c.token_ids[-1] == 257
        assert "<|im_end|>" not in c.text
        assert c.content == (Message("assistant", c.text),)


def test_stop_texts_cut_the_text_and_end_the_row(model):
    asked = contexts(10)
    free = completions(engine(model, stop_ids=()).generate(asked, 1, GREEDY))
    stop = next(found.group() for c in free if (found := re.search(r"[!-~]{2}", c.text[5:])))
    options = GREEDY.model_copy(update={"stop": (stop, "never there")})
    ended = completions(engine(model, stop_ids=()).generate(asked, 1, options))
    hits = 0
    for a, b in zip(free, ended, strict=True):
        if stop in a.text:
            hits += 1
            assert b.finish_reason == "stop"
            assert b.text == a.text[: a.text.index(stop)]
            assert stop in TOKENIZER.decode(list(b.token_ids))
            assert stop not in TOKENIZER.decode(list(b.token_ids[:-1]))
        else:
            assert b.token_ids == a.token_ids
    assert hits


def test_a_completion_ends_where_the_models_positions_end():
    model = tiny_model(3, max_position_embeddings=40)
    asked = [Context(token_ids=tuple(range(37))), Context(token_ids=(1, 2))]
    long, short = completions(engine(model, stop_ids=()).generate(asked, 1, GREEDY))
    assert len(long.token_ids) == 3
    assert long.finish_reason == "length"
    assert len(short.token_ids) == 30


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ((), "empty context"),
        (tuple(range(200)) * 3, "600 tokens and leaves no room in the model's 512"),
        ((1, 258), "outside the model's vocabulary of 258"),
        ((1, -1), "outside the model's vocabulary"),
    ],
)
def test_a_context_that_cannot_be_continued_is_named(model, ids, says):
    with pytest.raises(UserError, match=f"context 2: .*{says}"):
        engine(model).generate([Context(token_ids=(1,)), Context(token_ids=ids)], 1, GREEDY)


def test_an_unknown_policy_or_a_missing_reference_is_an_error(model):
    with pytest.raises(UserError, match="not from 'ema'"):
        engine(model).generate(contexts(1), 1, GREEDY, policy="ema")
    with pytest.raises(UserError, match="no adapter"):
        engine(model).generate(contexts(1), 1, GREEDY, policy="reference")
    named = engine(model, name="reference").generate(contexts(1), 1, GREEDY, policy="reference")
    assert named[0].samples[0].completion.sampled_by == "reference"


def test_no_contexts_no_groups(model):
    assert engine(model).generate([], 2, Sampling()) == []


def test_weights_and_version_change_together():
    model = tiny_model(3)
    sampler = engine(model)
    asked = contexts(3)
    before = sampler.generate(asked, 1, GREEDY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    assert sampler.generate(asked, 1, GREEDY) == before  # training alone changes nothing here
    sampler.load_weights(model, 7)
    after = completions(sampler.generate(asked, 1, GREEDY))
    assert {c.weight_version for c in completions(before)} == {0}
    assert {c.weight_version for c in after} == {7}
    assert [c.token_ids for c in after] == [transformers_greedy(model, c, 30) for c in asked]
    assert [c.logps for c in after] != [c.logps for c in completions(before)]


def test_damaged_weights_leave_the_old_ones_in_place():
    model = tiny_model(3)
    sampler = engine(model)
    asked = contexts(3)
    before = sampler.generate(asked, 1, GREEDY)
    model.model.norm.weight.data[0] = float("nan")
    with pytest.raises(TrainingFault, match="not finite"):
        sampler.load_weights(model, 1)
    assert sampler.weight_version == 0
    assert sampler.generate(asked, 1, GREEDY) == before


def test_weights_of_another_vocabulary_are_refused(model):
    with pytest.raises(UserError, match="300 tokens"):
        engine(model).load_weights(tiny_model(vocab_size=300), 1)


def test_progress_counts_every_completion_once(model):
    seen = []
    engine(model).generate(contexts(5), 4, Sampling(max_completion_length=9), on_progress=seen.append)
    assert sum(seen) == 20
    assert all(count > 0 for count in seen)


def test_ctrl_c_stops_between_steps(model, monkeypatch):
    request = interrupt.StopRequest()
    monkeypatch.setattr(interrupt, "current", lambda: request)

    def stop(_count):
        request.signum = 2

    with pytest.raises(Interrupted):
        engine(model, max_rows=2).generate(contexts(6), 1, GREEDY, on_progress=stop)


def test_memory_for_the_cache_is_bounded(model):
    """Two layers of keys and values, two heads of 8, float32: 256 bytes a token; 36 tokens a row."""
    sampler = engine(model, max_rows=64, cache_gib=3 * 256 * 36 / 2**30)
    assert sampler._affordable_rows(sampler._source("policy"), 36) == 3
    asked = contexts(8, longest=7)
    few, many = sampler.generate(asked, 1, GREEDY), engine(model).generate(asked, 1, GREEDY)
    assert [c.token_ids for c in completions(few)] == [c.token_ids for c in completions(many)]


def test_threads_are_set_while_sampling_only(model):
    before = torch.get_num_threads()
    inside = []
    engine(model, threads=2).generate(
        contexts(1), 1, GREEDY, on_progress=lambda _: inside.append(torch.get_num_threads())
    )
    assert inside == [2]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("options", [{"max_rows": 0}, {"threads": 0}, {"cache_gib": 0.0}])
def test_options_out_of_range(model, options):
    with pytest.raises(UserError, match="must be positive"):
        engine(model, **options)


def test_the_model_and_its_gradients_are_left_alone(model):
    engine(model).generate(contexts(2), 1, GREEDY)
    loss = model(torch.tensor([[1, 2, 3]])).logits.sum()
    loss.backward()
    assert model.lm_head.weight.grad is not None
    model.zero_grad()


def test_length_dependent_rope_is_left_to_transformers():
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    model = tiny_model(max_position_embeddings=64, rope_parameters=rope)
    assert not decodes(model)
    assert decodes(tiny_model())


@pytest.mark.parametrize(("live", "size"), [(1, 1), (3, 4), (8, 8), (9, 16), (30, 32), (65, 80), (250, 256)])
def test_batch_sizes_come_again(live, size):
    assert batching._padded(live, 256) == size
    assert batching._padded(live, live) == live


@pytest.mark.slow
def test_greedy_on_the_default_model_is_transformers_token_for_token():
    from charter.errors import CharterError
    from charter.models.hub import resolve
    from charter.models.load import load

    try:
        policy = load(str(resolve("smollm2-135m")), bf16=False)
    except CharterError as error:
        pytest.skip(f"the default model is not here: {error.what}")
    questions = ["What is gravity?", "Name three fruits.", "Who are you?", "Tell me a joke about a cat."]
    turns = [(Message("user", question),) for question in questions]
    asked = [Context(t, policy.template.render_context(t)) for t in turns]
    sampler = LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32)
    groups = sampler.generate(asked, 1, Sampling(temperature=0, max_completion_length=40))
    stop = list(sampler._stop_ids)
    for context, made in zip(asked, completions(groups), strict=True):
        assert made.token_ids == transformers_greedy(policy.model, context, 40, stop)
