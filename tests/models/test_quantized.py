"""Four-bit weights under an adapter: everything around the library that stores them.

bitsandbytes is stood in for by layers that store their weight as integers with one scale, as its
own do with many; its arithmetic is not tested here.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from charter.catalogue import TrainOptions
from charter.data.packing import pack
from charter.engines.local import decodes
from charter.errors import UserError
from charter.models import plain, quantized
from charter.models.load import load
from charter.models.policy import Policy
from charter.models.quantized import has_quantized
from charter.models.save import save_policy
from charter.models.score import score
from charter.models.trainable import prepare_for_training
from charter.testing import save_tiny
from charter.types import Completion, Context, Sample

SAMPLES = [
    Sample(
        Context(token_ids=tuple(range(20, 40))),
        Completion(token_ids=(*range(60, 75), n), trained=(True,) * 16),
    )
    for n in (1, 2)
]


class Stored(nn.Parameter):
    """A weight as integers."""

    def __new__(cls, data: torch.Tensor, requires_grad: bool, **how: Any) -> Stored:
        assert not requires_grad
        assert {**how, "module": None} == {"compress_statistics": True, "quant_type": "fp4", "module": None}
        how["module"].step = float(data.abs().max()) / 127
        whole = (data.float() / how["module"].step).round().to(torch.int8)
        made: Stored = torch.Tensor._make_subclass(cls, whole, False)
        return made


class Layer(nn.Linear):
    """A linear layer that alone knows the step of its integers."""

    step: float

    def __init__(self, inputs: int, outputs: int, bias: bool, *, device: str, **how: Any) -> None:
        assert how == {"compute_dtype": torch.float32, "compress_statistics": True, "quant_type": "fp4"}
        super().__init__(inputs, outputs, bias, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype) * self.step, self.bias)


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Policy:
    library = SimpleNamespace(nn=SimpleNamespace(Linear4bit=Layer, Params4bit=Stored))
    monkeypatch.setattr(quantized, "require_bitsandbytes", lambda: library)
    monkeypatch.setattr("charter.models.load.require_bitsandbytes", lambda: library)
    monkeypatch.setattr("charter.models.trainable.require_bitsandbytes", lambda: library)
    return load(save_tiny(str(tmp_path / "base")), bf16=False, device="cpu")


def options(**more: Any) -> TrainOptions:
    return TrainOptions(
        **{
            "bf16": False,
            "use_peft": True,
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "fp4",
            "use_bnb_nested_quant": True,
            **more,
        }
    )


def test_the_adapter_trains_on_a_quantised_base(policy: Policy, tmp_path: Path) -> None:
    packed = pack(SAMPLES)
    with torch.no_grad():
        exact = score(policy.model, packed).logps_N
    prepare_for_training(policy, options())
    stack = policy.model.get_base_model().model
    kinds = {type(m.get_base_layer()) for m in stack.modules() if hasattr(m, "lora_A")}
    assert kinds == {Layer}
    assert stack.layers[1].mlp.up_proj.weight.dtype == torch.int8
    assert stack.embed_tokens.weight.is_floating_point()
    assert policy.trainable() and all("lora_" in name for name in policy.trainable())
    found = score(policy.model, packed).logps_N
    torch.testing.assert_close(found, plain.log_probs(policy.model, packed), rtol=1e-5, atol=1e-5)
    assert 1e-4 < (found - exact).abs().max() < 1.0  # rounded, and still the same model
    found.sum().backward()
    assert any(p.grad.abs().sum() > 0 for p in policy.trainable().values())
    assert not decodes(policy.model)
    assert policy.digest() == policy.digest()
    save_policy(policy, tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "base").exists()
    assert load(str(tmp_path / "adapter"), bf16=False, device="cpu").has_adapter


def test_quantised_weights_themselves_cannot_be_trained(policy: Policy) -> None:
    quantized.quantize(
        policy.model, quantized.FourBit("fp4", nested=True), torch.device("cpu"), torch.float32
    )
    assert has_quantized(policy.model)
    with pytest.raises(UserError, match="cannot be trained"):
        prepare_for_training(policy, TrainOptions(bf16=False))
    prepare_for_training(
        policy, TrainOptions(bf16=False, use_peft=True)
    )  # quantised already: no option needed
    assert policy.trainable()


def test_an_adapter_is_not_merged_into_quantised_weights(policy: Policy) -> None:
    prepare_for_training(policy, TrainOptions(bf16=False, use_peft=True))
    with pytest.raises(UserError, match="without an adapter") as error:
        prepare_for_training(policy, options())
    assert error.value.where == "load_in_4bit"


@pytest.mark.parametrize(
    "bad",
    [{"use_peft": False}, {"load_in_4bit": False}, {"load_in_4bit": False, "bnb_4bit_quant_type": "nf4"}],
)
def test_options_without_effect_are_errors(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="load_in_4bit"):
        options(**bad)
