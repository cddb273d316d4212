"""The decoder's copy of the weights."""

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model

from charter.engines.weights import Matrix, snapshot
from charter.errors import EnvironmentFault, TrainingFault
from charter.models import blocks
from charter.testing.tiny import tiny_model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [False, True])
def test_a_matrix_is_a_linear_layer_whatever_its_layout(dtype, bias):
    torch.manual_seed(0)
    weight = torch.randn(40, 24).to(dtype)
    b = torch.randn(40).to(dtype) if bias else None
    matrix = Matrix(weight, b)
    for rows in (1, 3, 50):
        x = torch.randn(rows, 24).to(dtype)
        tolerance = 1e-5 if dtype == torch.float32 else 0.05
        torch.testing.assert_close(matrix(x), F.linear(x, weight, b), atol=tolerance, rtol=tolerance)


def with_lora(model, **options):
    peft = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", **options)).eval()
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return peft


def test_stacked_projections_with_adapters_are_the_layers_one_by_one():
    model = with_lora(tiny_model(attention_bias=True))
    stack = blocks.backbone(model)
    weights = snapshot(model, 3, torch.float32)
    assert weights.has_adapter
    assert weights.version == 3
    x = torch.randn(5, 48)
    attention, mlp = stack.layers[1].self_attn, stack.layers[1].mlp
    layer = weights.layers[1]
    for projection, modules in (
        (layer.qkv, (attention.q_proj, attention.k_proj, attention.v_proj)),
        (layer.gate_up, (mlp.gate_proj, mlp.up_proj)),
        (layer.out, (attention.o_proj,)),
    ):
        one_by_one = torch.cat([blocks.linear(module, x) for module in modules], -1)
        torch.testing.assert_close(projection(x, adapter=True), one_by_one, atol=1e-5, rtol=1e-5)
        with model.disable_adapter():
            off = torch.cat([blocks.linear(module, x) for module in modules], -1)
        torch.testing.assert_close(projection(x, adapter=False), off, atol=1e-5, rtol=1e-5)


def test_an_adapter_on_some_layers_only():
    model = tiny_model()
    model = get_peft_model(
        model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    attention = blocks.backbone(model).layers[0].self_attn
    layer = snapshot(model, 0, torch.float32).layers[0]
    x = torch.randn(3, 48)
    each = torch.cat(
        [blocks.linear(m, x) for m in (attention.q_proj, attention.k_proj, attention.v_proj)], -1
    )
    torch.testing.assert_close(layer.qkv(x, adapter=True), each, atol=1e-5, rtol=1e-5)
    assert layer.gate_up.down is None


def test_training_does_not_reach_the_copy():
    model = tiny_model()
    weights = snapshot(model, 0, torch.float32)
    before = (weights.embedding.clone(), weights.norm.clone(), weights.layers[0].before_attention.clone())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    after = (weights.embedding, weights.norm, weights.layers[0].before_attention)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_named(bad):
    model = tiny_model()
    model.model.layers[1].mlp.up_proj.weight.data[3, 3] = bad
    with pytest.raises(TrainingFault, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        snapshot(model, 0, torch.float32)


def test_what_the_decoder_cannot_apply_is_refused():
    with pytest.raises(EnvironmentFault, match="DoRA"):
        snapshot(with_lora(tiny_model(), use_dora=True), 0, torch.float32)
    biased = with_lora(tiny_model(attention_bias=True, mlp_bias=True), lora_bias=True)
    with pytest.raises(EnvironmentFault, match="lora_bias"):
        snapshot(biased, 0, torch.float32)
    model = tiny_model()
    model.model.layers[0].self_attn.q_proj.weight.requires_grad_(False)
    model.model.layers[0].self_attn.q_proj.weight.data = torch.zeros(48, 48, dtype=torch.int8)
    with pytest.raises(EnvironmentFault, match="quantised"):
        snapshot(model, 0, torch.float32)
    model = tiny_model()
    model.model.layers[0].mlp.up_proj = torch.nn.Identity()
    with pytest.raises(EnvironmentFault, match="Identity"):
        snapshot(model, 0, torch.float32)
