from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from charter.catalogue import TrainOptions
from charter.data.packing import pack
from charter.errors import CharterError, UserError
from charter.models import score as score_module
from charter.models.load import load
from charter.models.policy import Policy, adapter_off
from charter.models.save import save_policy
from charter.models.score import score
from charter.models.trainable import prepare_for_training
from charter.testing import save_tiny, tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Sample

SAMPLE = Sample(
    Context(token_ids=tuple(range(20, 40))), Completion(token_ids=tuple(range(60, 75)), trained=(True,) * 15)
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def adapter(tiny: str, tmp_path: Path) -> str:
    """An adapter that changes the model, in a folder of its own."""
    torch.manual_seed(0)
    model = get_peft_model(load(tiny, bf16=False).model, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(str(tmp_path / "adapter"))
    return str(tmp_path / "adapter")


def logps(policy: Policy) -> torch.Tensor:
    with torch.no_grad():
        found = score(policy.model, pack([SAMPLE]), compute_dtype=policy.compute_dtype).logps_N
    assert found is not None
    return found


def test_load_is_frozen_quiet_and_in_the_compute_type(tiny: str) -> None:
    for bf16, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        policy = load(tiny, bf16=bf16)
        assert policy.compute_dtype == dtype
        assert {p.dtype for p in policy.model.parameters()} == {dtype}
        assert not policy.model.training and not policy.trainable() and not policy.has_adapter
        assert (policy.name, str(policy.path), policy.version, policy.derived) == (tiny, tiny, 0, False)
        assert policy.template is policy.template


def test_load_an_adapter_folder(adapter: str, tiny: str) -> None:
    policy = load(adapter, bf16=False)
    assert policy.has_adapter and isinstance(policy.model, PeftModel)
    assert not policy.trainable()
    base = logps(load(tiny, bf16=False))
    assert (logps(policy) - base).abs().max() > 0.05
    with adapter_off(policy.model) as model:
        assert torch.equal(logps(Policy(model, None, "", policy.path, torch.float32)), base)
    assert policy.tokenizer.chat_template  # from the base, as the adapter folder has none


def test_adapter_off_is_the_model_itself_where_there_is_none(tiny: str) -> None:
    model = load(tiny).model
    with adapter_off(model) as same:
        assert same is model


def test_a_weight_that_is_not_finite_is_named(tiny: str, tmp_path: Path) -> None:
    broken = save_tiny(str(tmp_path / "broken"))
    weights = load_file(f"{broken}/model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = float("inf")
    save_file(weights, f"{broken}/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.up_proj\.weight holds NaN or infinity"):
        load(broken)


def test_a_missing_tensor_is_named(tiny: str, tmp_path: Path) -> None:
    broken = save_tiny(str(tmp_path / "broken"))
    weights = load_file(f"{broken}/model.safetensors")
    del weights["model.layers.0.self_attn.q_proj.weight"]
    save_file(weights, f"{broken}/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="q_proj"):
        load(broken)


def test_an_adapter_without_its_base_is_an_error(adapter: str) -> None:
    config = Path(adapter) / "adapter_config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "base_model_name_or_path": "/nowhere/at/all"}))
    with pytest.raises(CharterError, match="/nowhere/at/all"):
        load(adapter)
    config.write_text(json.dumps({**values, "base_model_name_or_path": None}))
    with pytest.raises(UserError, match="base"):
        load(adapter)


# -- preparing for training ---------------------------------------------------------------


def test_lora_starts_as_the_policy_it_was_given(tiny: str) -> None:
    policy = load(tiny, bf16=False)
    before = logps(policy)
    prepare_for_training(policy, TrainOptions(bf16=False, use_peft=True, lora_r=4))
    assert torch.equal(logps(policy), before)
    assert policy.trainable() and all("lora_" in name for name in policy.trainable())
    assert not policy.derived


def test_the_adapter_s_first_weights_depend_on_the_seed_alone(tiny: str) -> None:
    def first(seed: int) -> dict[str, torch.Tensor]:
        torch.rand(3)
        policy = load(tiny, bf16=False)
        prepare_for_training(policy, TrainOptions(bf16=False, use_peft=True, seed=seed))
        return {n: p.detach().clone() for n, p in policy.trainable().items()}

    one, same, other = first(1), first(1), first(2)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("use_peft", [True, False])
def test_an_adapter_already_there_is_merged_first(use_peft: bool, adapter: str) -> None:
    policy = load(adapter, bf16=False)
    before = logps(policy)
    prepare_for_training(policy, TrainOptions(bf16=False, use_peft=use_peft))
    torch.testing.assert_close(logps(policy).detach(), before, rtol=0, atol=1e-5)
    assert policy.has_adapter is use_peft
    assert policy.derived
    with adapter_off(policy.model) as model, torch.no_grad():
        off = score(model, pack([SAMPLE])).logps_N
    torch.testing.assert_close(off, before, rtol=0, atol=1e-5)


def test_full_training_takes_every_weight_in_float32(tiny: str) -> None:
    policy = load(tiny, bf16=True)
    prepare_for_training(policy, TrainOptions(bf16=True))
    assert policy.compute_dtype == torch.bfloat16
    assert policy.trainable().keys() == dict(policy.model.named_parameters()).keys()
    assert {p.dtype for p in policy.model.parameters()} == {torch.float32}
    assert policy.model.lm_head.weight is policy.model.model.embed_tokens.weight  # still tied


def test_the_padding_token_learns(tiny: str) -> None:
    """It may be the end-of-turn token, which stands in every context."""
    policy = load(tiny, bf16=False)
    assert policy.tokenizer.pad_token_id == policy.tokenizer.eos_token_id == 257
    prepare_for_training(policy, TrainOptions(bf16=False))
    ids = torch.tensor([[1, 257, 5, 6]])
    policy.model(input_ids=ids, labels=ids).loss.backward()
    plain = policy.model.model.embed_tokens.weight.grad.clone()
    policy.model.zero_grad()
    sample = Sample(Context(token_ids=(1,)), Completion(token_ids=(257, 5, 6), trained=(True,) * 3))
    found = score(policy.model, pack([sample])).logps_N
    assert found is not None
    (-found.mean()).backward()
    torch.testing.assert_close(policy.model.model.embed_tokens.weight.grad, plain, rtol=1e-4, atol=1e-5)


def test_dropout_of_the_base_is_off_and_the_adapter_s_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_module, "_announced", set())  # said once per process, and another test listens
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=2, n_positions=64))
    policy = Policy(model, tiny_tokenizer(), "gpt2", Path(), torch.float32)
    prepare_for_training(policy, TrainOptions(bf16=False, use_peft=True))
    policy.model.train()
    assert torch.equal(logps(policy), logps(policy))

    policy = Policy(tiny_model(attention_dropout=0.5), tiny_tokenizer(), "llama", Path(), torch.float32)
    prepare_for_training(policy, TrainOptions(bf16=False, use_peft=True))
    policy.model.train()
    ids = torch.tensor([range(30)])
    with torch.no_grad():
        assert torch.equal(policy.model(input_ids=ids).logits, policy.model(input_ids=ids).logits)

    policy = Policy(tiny_model(), tiny_tokenizer(), "llama", Path(), torch.float32)
    prepare_for_training(policy, TrainOptions(bf16=False, use_peft=True, lora_dropout=0.5))
    assert policy.model.training
    with torch.no_grad():
        for name, parameter in policy.trainable().items():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    assert not torch.equal(logps(policy), logps(policy))


# -- identity ------------------------------------------------------------------------------


def test_the_digest_knows_the_weights_and_nothing_else(tiny: str, adapter: str) -> None:
    digest = load(tiny, bf16=False).digest()
    assert load(tiny, bf16=False).digest() == digest
    assert load(tiny, bf16=True).digest() != digest
    assert load(adapter, bf16=False).digest() != digest
    policy = load(tiny, bf16=False)
    policy.model.requires_grad_(True)
    assert policy.digest() == digest
    with torch.no_grad():
        policy.model.model.layers[1].mlp.up_proj.weight[0, 0].mul_(1 + 1e-6)
    assert policy.digest() != digest


def test_the_digest_does_not_depend_on_threads(tiny: str) -> None:
    before = torch.get_num_threads()
    found = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.add(load(tiny, bf16=False).digest())
    torch.set_num_threads(before)
    assert len(found) == 1


def test_saved_and_loaded_again_it_is_the_same(tiny: str, tmp_path: Path) -> None:
    policy = load(tiny, bf16=False)
    prepare_for_training(policy, TrainOptions(bf16=False))
    with torch.no_grad():
        for parameter in policy.trainable().values():
            parameter.add_(0.01)
    save_policy(policy, tmp_path / "model")
    again: Any = load(str(tmp_path / "model"), bf16=False)
    assert again.digest() == policy.digest()
