"""The one forward equals the plain padded forward: values and gradients, for any split of the samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.data.packing import pack
from charter.models import plain
from charter.models.score import divergence, score
from charter.testing import tiny_model
from charter.types import Completion, Context, Sample


def sample(context: list[int], completion: list[int], trained: list[bool] | None = None) -> Sample:
    flags = tuple(trained) if trained else (True,) * len(completion)
    return Sample(Context(token_ids=tuple(context)), Completion(token_ids=tuple(completion), trained=flags))


def alone(model, s: Sample) -> torch.Tensor:
    """Log-probs of one sample's trained tokens straight from transformers, no packing at all."""
    ids = torch.tensor([[*s.context.token_ids, *s.completion.token_ids]])
    logps = torch.log_softmax(model(input_ids=ids).logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0]
    start = len(s.context.token_ids)
    keep = [start + i - 1 for i, t in enumerate(s.completion.trained) if t and start + i > 0]
    return logps[keep]


def random_ids(n: int, seed: int) -> list[int]:
    return torch.randint(0, 255, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


EQUAL = [sample(random_ids(30, 0), random_ids(n, n)) for n in (5, 17, 1, 40)]
DIFFERENT = [sample(random_ids(n, n), random_ids(9, n + 50)) for n in (1, 30, 300, 12)]
NESTED = [
    sample(random_ids(20, 1) + random_ids(m, 2)[:m], random_ids(12, 3)[:10] + random_ids(n, n))
    for m, n in ((15, 4), (15, 8), (9, 6), (15, 4))
]
FREE_TEXT = [sample([], random_ids(25, 4)), sample([], random_ids(25, 5))]
MASKED = [sample(random_ids(10, 6), random_ids(6, 7), [True, False, False, True, True, False])]
LONG = [sample(random_ids(400, 8), random_ids(300, 9)), sample(random_ids(400, 8), random_ids(280, 10))]
ENDS_INSIDE = [sample(random_ids(10, 1), random_ids(20, 2)[:n]) for n in (20, 12, 3)]


@pytest.mark.parametrize("samples", [EQUAL, DIFFERENT, NESTED, FREE_TEXT, MASKED, LONG, ENDS_INSIDE])
def test_values_and_gradients_equal_each_sample_alone(samples: list[Sample]) -> None:
    model = tiny_model(max_position_embeddings=1024).requires_grad_(True)
    weights = torch.randn(
        sum(len(alone(model, s)) for s in samples), generator=torch.Generator().manual_seed(0)
    )
    expected = torch.cat([alone(model, s) for s in samples])
    (expected * weights).sum().backward()
    expected_grads = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()

    packed = pack(samples)
    logps_N = score(model, packed).logps_N
    torch.testing.assert_close(logps_N, expected, rtol=0, atol=1e-5)
    (logps_N * weights).sum().backward()
    for name, parameter in model.named_parameters():
        scale = expected_grads[name].abs().max().clamp_min(1.0)
        torch.testing.assert_close(parameter.grad / scale, expected_grads[name] / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [EQUAL, DIFFERENT, NESTED])
def test_plain_twin_agrees(samples: list[Sample]) -> None:
    model = tiny_model()
    packed = pack(samples)
    with torch.no_grad():
        torch.testing.assert_close(
            score(model, packed).logps_N, plain.log_probs(model, packed), rtol=0, atol=1e-5
        )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_split_of_any_samples_gives_the_same_values(data: st.DataObject) -> None:
    model = tiny_model()
    ids = st.lists(st.integers(0, 3), min_size=1, max_size=24)  # few ids: many shared prefixes
    pairs = data.draw(
        st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=24), ids), min_size=1, max_size=6)
    )
    samples = [sample(list(c), list(r)) for c, r in pairs]
    cut = data.draw(st.integers(0, len(samples)))
    with torch.no_grad():
        whole = score(model, pack(samples)).logps_N
        parts = [score(model, pack(p)).logps_N for p in (samples[:cut], samples[cut:]) if p]
        expected = [alone(model, s) for s in samples]
    torch.testing.assert_close(whole, torch.cat(expected), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-5)


def test_shared_prefix_is_computed_once() -> None:
    packed = pack(EQUAL)
    assert len(packed.input_ids_T) == 30 + sum(n - 1 for n in (5, 17, 1, 40))
    assert packed.lengths_B.tolist() == [5, 17, 1, 40]


def test_lora_adapter_matches_peft_and_turns_off() -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny_model()
    packed = pack(NESTED)
    with torch.no_grad():
        before = score(base, packed).logps_N
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        adapted = score(model, packed).logps_N
        torch.testing.assert_close(adapted, plain.log_probs(model, packed), rtol=0, atol=1e-5)
        assert (adapted - before).abs().max() > 0.05
        with model.disable_adapter():
            torch.testing.assert_close(score(model, packed).logps_N, before)


def test_frozen_head_gives_the_same_gradient_as_a_trained_one() -> None:
    model = tiny_model(tie_word_embeddings=False).requires_grad_(True)
    packed = pack(EQUAL)
    score(model, packed).logps_N.square().sum().backward()
    full = model.model.layers[0].mlp.up_proj.weight.grad.clone()
    model.zero_grad()
    model.lm_head.weight.requires_grad_(False)
    score(model, packed).logps_N.square().sum().backward()
    torch.testing.assert_close(model.model.layers[0].mlp.up_proj.weight.grad, full, rtol=1e-5, atol=1e-5)


def test_bf16_compute_keeps_float32_gradients_and_stays_close() -> None:
    model = tiny_model().requires_grad_(True)
    packed = pack(EQUAL)
    exact = score(model, packed).logps_N
    rough = score(model, packed, compute_dtype=torch.bfloat16).logps_N
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.15
    rough.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


def test_entropy_and_divergence_match_the_definition() -> None:
    model, other = tiny_model(0), tiny_model(1)
    packed = pack(EQUAL)
    with torch.no_grad():
        p = torch.log_softmax(plain.logits(model, packed), -1)[torch.from_numpy(packed.unique_N)]
        q = torch.log_softmax(plain.logits(other, packed), -1)[torch.from_numpy(packed.unique_N)]
        entropy = score(model, packed, outputs=("entropy",)).entropy_N
    torch.testing.assert_close(entropy, -(p.exp() * p).sum(-1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        divergence(model, other, packed), (p.exp() * (p - q)).sum(-1), rtol=1e-4, atol=1e-5
    )
    assert divergence(model, model, packed).abs().max() < 1e-6


def test_temperature_divides_the_logits() -> None:
    model = tiny_model()
    packed = pack(EQUAL)
    with torch.no_grad():
        torch.testing.assert_close(
            score(model, packed, temperature=0.7).logps_N,
            plain.log_probs(model, packed, 0.7),
            rtol=0,
            atol=1e-5,
        )


def test_other_architectures_take_the_padded_path(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    monkeypatch.setattr("charter.models.score._announced", set())

    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=2, n_positions=256)
    ).eval()
    with torch.no_grad():
        got = score(model, pack(EQUAL)).logps_N
        expected = torch.cat([alone(model, s) for s in EQUAL])
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    assert "padded" in capsys.readouterr().err
