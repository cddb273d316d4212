"""The one forward equals the plain padded forward: values and gradients, for any split of the samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.data.packing import pack
from charter.errors import EnvironmentFault
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


# -- adapters ---------------------------------------------------------------------


def adapted(**options):
    """A tiny model under a LoRA adapter that changes it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(
        tiny_model(tie_word_embeddings=False, **options.pop("model", {})),
        LoraConfig(**{"r": 4, "target_modules": ["q_proj", "down_proj"], **options}),
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def assert_equals_peft(model) -> None:
    packed = pack(EQUAL)
    with torch.no_grad():
        on, off = score(model, packed).logps_N, plain.log_probs(model, packed)
        torch.testing.assert_close(on, off, rtol=2e-6, atol=1e-5)
        with model.disable_adapter():
            base = score(model, packed).logps_N
            torch.testing.assert_close(base, plain.log_probs(model, packed), rtol=2e-6, atol=1e-5)
    assert (on - base).abs().max() > 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"use_rslora": True},
        {"lora_alpha": 3, "rank_pattern": {"q_proj": 2}},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens", "input_layernorm"]},
        {"trainable_token_indices": list(range(40))},
    ],
    ids=["rank-stabilised", "ranks", "head", "embedding-and-norms", "tokens"],
)
def test_what_peft_can_do_and_this_too(options: dict) -> None:
    assert_equals_peft(adapted(**options))


def test_two_active_adapters_add_up() -> None:
    from peft import LoraConfig

    model = adapted()
    model.add_adapter(
        "second", LoraConfig(r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    )
    model.base_model.set_adapter(["default", "second"])
    assert_equals_peft(model)


def test_a_merged_adapter_is_the_base() -> None:
    model = adapted()
    with torch.no_grad():
        before = score(model, pack(EQUAL)).logps_N
        model.merge_adapter()
        torch.testing.assert_close(score(model, pack(EQUAL)).logps_N, before, rtol=1e-5, atol=1e-4)
        with model.disable_adapter(), pytest.raises(EnvironmentFault, match="merged"):
            score(model, pack(EQUAL))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True, "model": {"attention_bias": True, "mlp_bias": True}}, "lora_bias"),
        ({"modules_to_save": ["up_proj"]}, "ModulesToSaveWrapper"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "Embedding"),
        ({"target_modules": ["q_proj", "lm_head"]}, "Linear"),
    ],
    ids=["dora", "bias", "saved-linear", "embedding", "head"],
)
def test_what_would_be_computed_wrong_is_refused(options: dict, message: str) -> None:
    with pytest.raises(EnvironmentFault, match=message) as refused:
        score(adapted(**options), pack(EQUAL))
    assert refused.value.fix


def test_other_adapters_take_the_padded_path(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import IA3Config, PromptTuningConfig, get_peft_model

    monkeypatch.setattr("charter.models.score._announced", set())
    ia3 = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    model = get_peft_model(tiny_model(), ia3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ia3" in name:
                parameter.mul_(1.7)
    assert_equals_peft(model)
    assert "IA3" in capsys.readouterr().err
    model = get_peft_model(tiny_model(), PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    with pytest.raises(EnvironmentFault, match="virtual tokens"):
        score(model, pack(EQUAL))


def test_a_layer_that_alone_can_read_its_weight_is_asked_to() -> None:
    """As quantised layers are: only their own forward knows what the stored numbers mean."""

    class Halves(torch.nn.Linear):
        """Stores twice the weight, as integers."""

        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__(linear.in_features, linear.out_features, bias=False)
            self.weight = torch.nn.Parameter((linear.weight * 2).round().to(torch.int8), requires_grad=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, self.weight.to(x.dtype) / 2)

    def quantised(linear: torch.nn.Linear) -> torch.nn.Linear:
        linear.weight.data.mul_(8)
        return Halves(linear)

    from peft import LoraConfig, get_peft_model

    base = tiny_model()
    for layer in base.model.layers:
        layer.self_attn.q_proj = quantised(layer.self_attn.q_proj)
        layer.mlp.up_proj = quantised(layer.mlp.up_proj)
    assert (base.model.layers[0].mlp.up_proj.weight != 0).any()
    model = get_peft_model(
        base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    assert_equals_peft(model)
    expected = plain.log_probs(model, pack(EQUAL))
    expected.sum().backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    score(model, pack(EQUAL)).logps_N.sum().backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-4)


def test_top_of_the_padded_path() -> None:
    model = tiny_model(hidden_act="relu")
    with torch.no_grad():
        found = score(model, pack(EQUAL), outputs=("logps", "squared_probs", "top"), top_k=258)
    of_label = found.top_ids_NK == torch.tensor([i for s in EQUAL for i in s.completion.token_ids])[:, None]
    torch.testing.assert_close(found.top_logps_NK[of_label], found.logps_N)
    torch.testing.assert_close(found.top_logps_NK.exp().square().sum(-1), found.squared_probs_N)
    assert (found.top_logps_NK.diff(dim=-1) <= 0).all()
