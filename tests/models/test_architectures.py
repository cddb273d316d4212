"""Every family the one forward claims equals transformers: values, gradients, reductions, adapters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig

from charter.data.packing import pack
from charter.models import architecture, blocks, plain
from charter.models import score as score_module
from charter.models.architecture import MODEL_TYPES, architecture_of, find_architecture
from charter.models.attention import AttentionPlan, plans_of
from charter.models.fused import rotate
from charter.models.score import divergence, is_llama_style, score
from charter.testing.tiny import FAMILIES, tiny_model
from charter.types import Completion, Context, Sample


def ids(n: int, seed: int) -> list[int]:
    return torch.randint(0, 255, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def sample(context: list[int], completion: list[int]) -> Sample:
    return Sample(
        Context(token_ids=tuple(context)),
        Completion(token_ids=tuple(completion), trained=(True,) * len(completion)),
    )


EQUAL = [sample(ids(30, 0), ids(n, n)) for n in (5, 17, 1, 40)]
DIFFERENT = [sample(ids(n, n), ids(9, n + 50)) for n in (1, 30, 300, 12)]
# Each shares more with the next: windows reach through several ancestors.
NESTED = [sample(ids(12, 1), ids(40, 2)[:m] + ids(14, m)) for m in (9, 18, 27, 36)]
LONG = [sample(ids(290, 8), ids(n, 9)) for n in (280, 20)]
SETS = {"equal": EQUAL, "different": DIFFERENT, "nested": NESTED, "long": LONG}


def alone(model: Any, s: Sample) -> torch.Tensor:
    """Log-probs of a sample's completion straight from transformers, no packing at all."""
    tokens = torch.tensor([[*s.context.token_ids, *s.completion.token_ids]])
    logps = torch.log_softmax(model(input_ids=tokens).logits[0, :-1], -1).gather(1, tokens[0, 1:, None])[:, 0]
    return logps[len(s.context.token_ids) - 1 :]


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def assert_gradients_equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, expected in wanted.items():
        scale = expected.abs().max().clamp_min(1.0)
        torch.testing.assert_close(found[name] / scale, expected / scale, rtol=0, atol=1e-5, msg=name)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> Any:
    return tiny_model(1, request.param, max_position_embeddings=1024).requires_grad_(True)


def test_what_is_listed_is_what_is_tested_here() -> None:
    assert set(MODEL_TYPES) == set(FAMILIES)


@pytest.mark.parametrize("samples", SETS.values(), ids=SETS)
def test_values_and_all_gradients_equal_each_sample_alone(model: Any, samples: list[Sample]) -> None:
    expected = torch.cat([alone(model, s) for s in samples])
    weights = torch.randn(len(expected), generator=torch.Generator().manual_seed(0))
    (expected * weights).sum().backward()
    wanted = gradients(model)
    assert len(wanted) == len(list(model.parameters()))

    found = score(model, pack(samples)).logps_N
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=1e-5)
    (found * weights).sum().backward()
    assert_gradients_equal(gradients(model), wanted)


def test_any_split_gives_the_same_values(model: Any) -> None:
    samples = [*NESTED, *EQUAL, *DIFFERENT]
    with torch.no_grad():
        whole = score(model, pack(samples)).logps_N
        for cut in (1, 3, 6):
            parts = [score(model, pack(part)).logps_N for part in (samples[:cut], samples[cut:])]
            torch.testing.assert_close(torch.cat(parts), whole, rtol=2e-6, atol=1e-5)


def test_a_stream_of_no_tokens_scores_nothing(model: Any) -> None:
    """Nothing predicts the first token of a text without a prompt."""
    found = score(model, pack([sample([], [5])])).logps_N
    assert found.shape == (0,)
    found.sum().backward()
    assert all(not g.any() for g in gradients(model).values())


def test_reductions_equal_their_definitions(model: Any) -> None:
    """All of them honour the final softcap."""
    packed, other = pack(NESTED), tiny_model(2, model.config.model_type, max_position_embeddings=1024)
    outputs = ("logps", "entropy", "squared_probs", "top")
    with torch.no_grad():
        found = score(model, packed, outputs=outputs, temperature=0.7, top_k=5)
        unique_N = torch.from_numpy(packed.unique_N)
        logits = plain.logits(model, packed)[unique_N]
        p = torch.log_softmax(logits / 0.7, -1)
        top = p.topk(5, -1)
        p1 = torch.log_softmax(logits, -1)
        q1 = torch.log_softmax(plain.logits(other, packed), -1)[unique_N]
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(found.logps_N, plain.log_probs(model, packed, 0.7).detach(), **close)
    torch.testing.assert_close(found.entropy_N, -(p.exp() * p).sum(-1), **close)
    torch.testing.assert_close(found.squared_probs_N, p.exp().square().sum(-1), **close)
    torch.testing.assert_close(found.top_logps_NK, top.values, **close)
    torch.testing.assert_close(p.gather(1, found.top_ids_NK), top.values, **close)
    assert found.top_ids_NK.dtype == torch.long
    torch.testing.assert_close(
        divergence(model, other, packed), (p1.exp() * (p1 - q1)).sum(-1), rtol=1e-4, atol=1e-5
    )


def test_adapters_on_every_linear_layer_equal_peft(model: Any) -> None:
    family = model.config.model_type
    base = tiny_model(1, family)
    with torch.no_grad():
        before = score(base, pack(NESTED)).logps_N
    lora = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    for name, parameter in lora.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    packed = pack(NESTED)
    expected = plain.log_probs(lora, packed)
    expected.square().sum().backward()
    wanted = gradients(lora)
    found = score(lora, packed).logps_N
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=1e-5)
    assert (found - before).abs().max() > 0.02
    found.square().sum().backward()
    assert_gradients_equal(gradients(lora), wanted)
    with torch.no_grad(), lora.disable_adapter():
        torch.testing.assert_close(score(lora, packed).logps_N, before)


def test_bf16_stays_close_and_gradients_stay_float32(model: Any) -> None:
    packed = pack(EQUAL)
    exact = score(model, packed).logps_N
    rough = score(model, packed, compute_dtype=torch.bfloat16).logps_N
    assert (rough - exact).abs().mean() < 0.1
    rough.sum().backward()
    assert {g.dtype for g in gradients(model).values()} == {torch.float32}


def test_reward_heads_read_the_same_hidden_states(model: Any) -> None:
    from charter.models.reward import with_reward_head

    rewarding = with_reward_head(tiny_model(1, model.config.model_type), 2)
    with torch.no_grad():
        found = score(rewarding, pack(EQUAL, [[-1]] * 4), outputs=("reward",)).reward_RZ
        for index, s in enumerate(EQUAL):
            tokens = torch.tensor([[*s.context.token_ids, *s.completion.token_ids]])
            expected = rewarding.score(rewarding.model(input_ids=tokens).last_hidden_state[0, -1])
            torch.testing.assert_close(found[index], expected, rtol=1e-5, atol=1e-5)


TRAITS = [
    ("gemma", "shifted_norm", False),
    ("gemma", "embedding_scale", 1.0),
    ("gemma", "activation", "silu"),
    ("qwen3", "head_norms", False),
    ("qwen3", "windows", (None, None)),
    ("mistral", "windows", (11, 12)),
    ("gemma2", "attention_softcap", None),
    ("gemma2", "final_softcap", None),
    ("gemma2", "attention_scale", 0.25),
    ("gemma2", "windows", (None, 11)),
    ("gemma2", "norms", architecture.Norms(before_mlp="pre_feedforward_layernorm")),
    ("gemma3_text", "ropes", ("full_attention", "full_attention")),
    ("gemma3_text", "final_softcap", None),
]


@pytest.mark.parametrize(("family", "trait", "value"), TRAITS)
def test_every_trait_matters(family: str, trait: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a trait misread, the tests above would see it."""
    model, packed = tiny_model(1, family), pack(NESTED)
    with torch.no_grad():
        right = score(model, packed).logps_N
        wrong = replace(architecture_of(model.config), **{trait: value})
        monkeypatch.setattr(score_module, "architecture_of", lambda _: wrong)
        assert (score(model, packed).logps_N - right).abs().max() > 1e-3


def test_partial_rotation_leaves_the_rest_as_it_is() -> None:
    torch.manual_seed(0)
    x, angle = torch.randn(7, 3, 10), torch.randn(7, 2)
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    out = rotate(x, cos, sin)
    assert torch.equal(out[..., 4:], x[..., 4:])
    turned = torch.complex(x[..., :2], x[..., 2:4]) * torch.polar(torch.ones(7, 1, 2), angle[:, None])
    torch.testing.assert_close(torch.complex(out[..., :2], out[..., 2:4]), turned)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotation_is_bit_for_bit_that_of_transformers(dtype: torch.dtype) -> None:
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    torch.manual_seed(0)
    x = torch.randn(9, 4, 16).to(dtype).requires_grad_(True)
    angle = torch.randn(9, 8).repeat(1, 2)
    cos, sin, grad = angle.cos().to(dtype), angle.sin().to(dtype), torch.randn(9, 4, 16).to(dtype)
    expected, _ = apply_rotary_pos_emb(x, x, cos, sin)
    found = rotate(x, cos, sin)
    assert torch.equal(found, expected)
    (wanted,) = torch.autograd.grad(expected, x, grad)
    assert torch.equal(torch.autograd.grad(found, x, grad)[0], wanted)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_window_counts_positions_of_the_sample(data: st.DataObject) -> None:
    few = st.lists(st.integers(0, 1), min_size=1, max_size=60)
    packed = pack(
        [sample([0], completion) for completion in data.draw(st.lists(few, min_size=1, max_size=6))]
    )
    window = data.draw(st.one_of(st.none(), st.integers(1, 40)))
    tokens = len(packed.input_ids_T)
    paths = {}
    for segment in packed.segments:
        spans = [packed.segments[a] for a in segment.ancestors] + [segment]
        path = np.concatenate([np.arange(s.start, s.start + s.length) for s in spans])
        for at in range(segment.length):
            end = len(path) - segment.length + at + 1
            paths[segment.start + at] = path[0 if window is None else max(0, end - window) : end]
    seen: dict[int, list[int]] = {}
    for batch in AttentionPlan.of(packed.segments, window=window).batches:
        visible = ~batch.unseen[:, 0]
        assert visible.any(-1).all()  # a softmax over nothing would be NaN
        for row, query in (batch.queries < tokens).nonzero().tolist():
            keys = batch.keys[row][visible[row, query]].tolist()
            assert seen.setdefault(int(batch.queries[row, query]), keys) is keys
    assert {query: list(path) for query, path in paths.items()} == seen


def test_a_window_no_sample_outgrows_costs_nothing() -> None:
    packed = pack(EQUAL)
    plans = plans_of(packed.segments, (None, 5, 70, 4096))
    assert plans[70] is plans[4096] is plans[None]
    assert plans[5] is not plans[None]


def test_a_short_window_leaves_out_the_keys_nobody_sees() -> None:
    packed = pack(LONG)
    full, short = (AttentionPlan.of(packed.segments, window=w) for w in (None, 8))
    area = [sum(b.unseen.numel() for b in plan.batches) for plan in (full, short)]
    assert area[1] < 0.7 * area[0]


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("gpt2", {}),
        ("gemma3_text", {"use_bidirectional_attention": True}),
        ("llama", {"hidden_act": "relu"}),
        ("qwen2", {"layer_types": ["full_attention", "chunked_attention"], "num_hidden_layers": 2}),
    ],
)
def test_what_is_not_known_is_not_claimed(family: str, fields: dict[str, Any]) -> None:
    assert find_architecture(AutoConfig.for_model(family, **fields)) is None


def test_a_llama_with_another_activation_is_still_right() -> None:
    model = tiny_model(0, hidden_act="relu")
    assert not is_llama_style(model)
    with torch.no_grad():
        expected = torch.cat([alone(model, s) for s in EQUAL])
        torch.testing.assert_close(score(model, pack(EQUAL)).logps_N, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "rope", "fixed"),
    [
        ("llama", {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}, True),
        ("llama", {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}, False),
        (
            "gemma3_text",
            {
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                "full_attention": {"rope_type": "dynamic", "rope_theta": 1e6, "factor": 2.0},
            },
            False,
        ),
    ],
)
def test_angles_that_depend_on_the_length_are_known(family: str, rope: dict[str, Any], fixed: bool) -> None:
    model = tiny_model(0, family, rope_parameters=rope)
    assert architecture_of(model.config).fixed_rope is fixed
    with torch.no_grad():
        expected = torch.cat([alone(model, s) for s in NESTED])
        torch.testing.assert_close(score(model, pack(NESTED)).logps_N, expected, rtol=2e-6, atol=1e-5)


def test_embeddings_are_scaled_as_a_model_in_the_compute_type_scales_them() -> None:
    model = tiny_model(0, "gemma").to(torch.bfloat16)
    weight, tokens = model.model.embed_tokens.weight, torch.arange(20)
    arch = architecture_of(model.config)
    found = blocks.embed(weight, tokens, arch, torch.bfloat16).to(torch.bfloat16)
    assert torch.equal(found, model.model.embed_tokens(tokens))
    assert blocks.embed(weight.float(), tokens, arch, torch.float32).dtype == torch.float32
