from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from charter.data.packing import pack
from charter.errors import EnvironmentFault
from charter.models import reference as module
from charter.models import score as score_module
from charter.models.load import load
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.models.reference import CACHE_FILE, ReferenceCache
from charter.models.score import score
from charter.testing import save_tiny, tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Group, Sample


def sample(seed: int, length: int = 12, trained: tuple[bool, ...] = ()) -> Sample:
    ids = torch.randint(0, 255, (20 + length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return Sample(
        Context(token_ids=tuple(ids[:20])),
        Completion(token_ids=tuple(ids[20:]), trained=trained or (True,) * length),
    )


GROUPS = [Group((sample(i, 5 + i), sample(i + 50, 9))) for i in range(6)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def policy(tiny: str) -> Policy:
    return load(tiny, bf16=False)


def fresh(policy: Policy, samples: list[Sample]) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        parts = [score(policy.model, pack([s])).logps_N for s in samples]
    return np.concatenate([part.numpy() for part in parts if part is not None])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Groups of each scoring."""
    seen: list[int] = []
    original = ReferenceCache._score

    def counted(self: ReferenceCache, policy: Policy, groups: Any) -> None:
        seen.append(len(groups))
        original(self, policy, groups)

    monkeypatch.setattr(ReferenceCache, "_score", counted)
    return seen


@pytest.mark.parametrize("tokens", [1, 100, 100_000])
def test_what_is_cached_is_what_scoring_gives(tokens: int, policy: Policy, tmp_path: Path) -> None:
    cache = ReferenceCache(tmp_path, "tag")
    done: list[int] = []
    cache.fill(policy, GROUPS, tokens, done.append)
    assert sum(done) == len(GROUPS)
    samples = [s for g in reversed(GROUPS) for s in g.samples]
    np.testing.assert_allclose(cache.logps(samples), fresh(policy, samples), rtol=0, atol=1e-5)


def test_it_is_read_back_from_disk(policy: Policy, tmp_path: Path, calls: list[int]) -> None:
    first = ReferenceCache(tmp_path, "tag")
    first.fill(policy, GROUPS, 10_000)
    second = ReferenceCache(tmp_path, "tag")
    second.fill(policy, GROUPS, 10_000)
    assert sum(calls) == len(GROUPS)
    samples = [s for g in GROUPS for s in g.samples]
    assert np.array_equal(first.logps(samples), second.logps(samples))
    assert [p.name for p in tmp_path.iterdir()] == [CACHE_FILE]


def test_another_tag_is_another_cache(policy: Policy, tmp_path: Path, calls: list[int]) -> None:
    ReferenceCache(tmp_path, "one").fill(policy, GROUPS, 10_000)
    ReferenceCache(tmp_path, "two").fill(policy, GROUPS, 10_000)
    assert sum(calls) == 2 * len(GROUPS)


def test_only_what_is_new_is_scored(policy: Policy, tmp_path: Path, calls: list[int]) -> None:
    ReferenceCache(tmp_path, "tag").fill(policy, GROUPS[:4], 10_000)
    ReferenceCache(tmp_path, "tag").fill(policy, GROUPS, 10_000)
    assert calls == [4, 2]


def test_the_same_tokens_trained_elsewhere_are_another_sample(policy: Policy, tmp_path: Path) -> None:
    whole, half = sample(1, 4), sample(1, 4, (False, True, False, True))
    moved = Sample(
        Context(token_ids=whole.context.token_ids[:-1]),
        Completion(token_ids=(whole.context.token_ids[-1], *whole.completion.token_ids), trained=(True,) * 5),
    )
    cache = ReferenceCache(tmp_path, "tag")
    cache.fill(policy, [Group((s,)) for s in (whole, half, moved)], 10_000)
    assert [len(cache.logps([s])) for s in (whole, half, moved)] == [4, 2, 5]
    assert np.allclose(cache.logps([whole])[[1, 3]], cache.logps([half]), atol=1e-5)


def test_a_sample_without_a_trained_token_has_no_log_probs(policy: Policy, tmp_path: Path) -> None:
    idle = sample(3, 4, (False,) * 4)
    ReferenceCache(tmp_path, "tag").fill(policy, [Group((idle, sample(4)))], 10_000)
    assert len(ReferenceCache(tmp_path, "tag").logps([idle, sample(4)])) == 12


def test_a_damaged_file_is_scored_again(
    policy: Policy, tmp_path: Path, calls: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    ReferenceCache(tmp_path, "tag").fill(policy, GROUPS, 10_000)
    path = tmp_path / CACHE_FILE
    path.write_bytes(path.read_bytes()[:100])
    cache = ReferenceCache(tmp_path, "tag")
    assert "scored again" in capsys.readouterr().err
    cache.fill(policy, GROUPS, 10_000)
    assert sum(calls) == 2 * len(GROUPS)


def test_a_full_disk_is_the_machine_s_fault(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tensors: Any, path: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        ReferenceCache(tmp_path, "tag").fill(policy, GROUPS, 10_000)
    assert list(tmp_path.iterdir()) == []


# -- a policy beside its reference ---------------------------------------------------------


def with_adapter(policy: Policy) -> Policy:
    """The policy with an adapter that changes it."""
    torch.manual_seed(0)
    model = get_peft_model(policy.model, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    return Policy(model.eval(), policy.tokenizer, policy.name, policy.path, torch.float32)


def test_the_adapter_off_and_a_frozen_copy_are_the_same_reference(policy: Policy) -> None:
    packed = pack([s for g in GROUPS for s in g.samples])
    copy = Reference.frozen_copy(policy)
    base = copy.logps(policy, packed)
    adapted = with_adapter(policy)
    off = Reference(None)
    torch.testing.assert_close(off.logps(adapted, packed), base)
    torch.testing.assert_close(off.divergence(adapted, packed), copy.divergence(adapted, packed))
    assert copy.divergence(adapted, packed).mean() > 0.01


def test_the_divergence_of_a_policy_from_itself_is_zero(policy: Policy) -> None:
    packed = pack([s for g in GROUPS for s in g.samples])
    assert Reference.frozen_copy(policy).divergence(policy, packed).abs().max() < 1e-6
    assert Reference(None).divergence(policy, packed).abs().max() < 1e-6


def test_a_frozen_copy_does_not_follow_the_policy(policy: Policy) -> None:
    packed = pack([GROUPS[0].samples[0]])
    copy = Reference.frozen_copy(policy)
    before = copy.logps(policy, packed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.5)
    assert torch.equal(copy.logps(policy, packed), before)
    assert copy.divergence(policy, packed).mean() > 0.01


def test_other_architectures_with_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_module, "_announced", set())  # said once per process, and another test listens
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=258, n_embd=32, n_layer=1, n_head=2, n_positions=64))
    plain = Policy(model.eval(), tiny_tokenizer(), "gpt2", Path(), torch.float32)
    packed = pack([GROUPS[0].samples[0], GROUPS[1].samples[1]])
    copy = Reference.frozen_copy(plain)
    adapted = with_adapter(plain)
    found, expected = Reference(None).divergence(adapted, packed), copy.divergence(adapted, packed)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert found.mean() > 1e-4
    torch.testing.assert_close(Reference(None).logps(adapted, packed), copy.logps(adapted, packed))


def test_divergence_by_the_definition(policy: Policy) -> None:
    other = Reference(tiny_model(1))
    s = GROUPS[0].samples[0]
    ids = torch.tensor([[*s.context.token_ids, *s.completion.token_ids]])
    with torch.no_grad():
        p = torch.log_softmax(policy.model(input_ids=ids).logits[0, 19:-1], -1)
        q = torch.log_softmax(other.model(input_ids=ids).logits[0, 19:-1], -1)  # type: ignore[misc]
    expected = (p.exp() * (p - q)).sum(-1)
    torch.testing.assert_close(other.divergence(policy, pack([s])), expected, rtol=1e-4, atol=1e-5)
