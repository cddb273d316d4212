"""On a CUDA device everything gives what it gives on the CPU. Skipped where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

import charter
from charter.catalogue import TrainOptions
from charter.data.packing import pack
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.models.load import load
from charter.models.random_state import random_state, seeded, set_random_state
from charter.models.reward import with_reward_head
from charter.models.score import divergence, score
from charter.models.trainable import prepare_for_training
from charter.rundir import read_jsonl
from charter.testing import save_tiny, tiny_tokenizer
from charter.testing.tiny import FAMILIES, tiny_model
from charter.training import checkpoint
from charter.training.optimizer import make_optimizer
from charter.types import Completion, Context, Sample

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA device"
)


def ids(n: int, seed: int) -> tuple[int, ...]:
    return tuple(torch.randint(0, 255, (n,), generator=torch.Generator().manual_seed(seed)).tolist())


SAMPLES = [
    Sample(Context(token_ids=ids(m, 0)), Completion(token_ids=ids(n, n), trained=(True,) * n))
    for m, n in ((30, 20), (30, 5), (30, 280), (300, 40), (1, 3))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_scores_and_gradients_are_those_of_the_cpu(family: str) -> None:
    packed, outputs = pack(SAMPLES), ("logps", "entropy", "squared_probs", "top")
    found: dict[str, list[torch.Tensor]] = {}
    for device in ("cpu", DEVICE):
        model = tiny_model(1, family).to(device).requires_grad_(True)
        out = score(model, packed, outputs=outputs, top_k=3)
        assert out.logps_N is not None and out.entropy_N is not None
        assert out.squared_probs_N is not None and out.top_logps_NK is not None
        out.logps_N.sum().backward()
        kl = divergence(model, tiny_model(2, family).to(device), packed)
        values = [out.logps_N, out.entropy_N, out.squared_probs_N, out.top_logps_NK, kl]
        found[device] = [x.detach().cpu() for x in values]
        found[f"{device} gradients"] = [p.grad.cpu() for p in model.parameters() if p.grad is not None]
    for one, other in zip(found[DEVICE], found["cpu"], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    for one, other in zip(found[f"{DEVICE} gradients"], found["cpu gradients"], strict=True):
        scale = other.abs().max().clamp_min(1.0)
        torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_bf16_stays_close_to_float32(family: str) -> None:
    model = tiny_model(1, family).to(DEVICE).requires_grad_(True)
    exact = score(model, pack(SAMPLES)).logps_N
    rough = score(model, pack(SAMPLES), compute_dtype=torch.bfloat16).logps_N
    assert exact is not None and rough is not None
    assert (rough - exact).abs().mean() < 0.15
    rough.sum().backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_adapters_and_rewards() -> None:
    packed = pack(SAMPLES, [[-1]] * len(SAMPLES))
    lora = get_peft_model(tiny_model().to(DEVICE), LoraConfig(r=4, target_modules="all-linear"))
    logps_N = score(lora, packed, compute_dtype=torch.bfloat16).logps_N
    assert logps_N is not None
    logps_N.sum().backward()
    read = score(with_reward_head(tiny_model().to(DEVICE), 2), packed, outputs=("reward",)).reward_RZ
    kept = score(with_reward_head(tiny_model(), 2), packed, outputs=("reward",)).reward_RZ
    assert read is not None and kept is not None and read.device.type == DEVICE
    torch.testing.assert_close(read.cpu(), kept, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 0.8, "top_p": 0.9, "seed": 3}])
def test_the_engine_samples_what_it_samples_on_the_cpu(family: str, options: dict[str, Any]) -> None:
    asked = [Context(token_ids=ids(n, n)) for n in (3, 20, 45, 7, 60, 11, 33)]
    made = []
    for device in ("cpu", DEVICE):
        model = tiny_model(5, family).to(device)
        engine = LocalEngine(model, tiny_tokenizer(), compute_dtype=torch.float32, max_rows=3)
        groups = engine.generate(asked, 1, Sampling(max_completion_length=24, **options))
        made.append([s.completion.token_ids for group in groups for s in group.samples])
    same = sum(one == other for one, other in zip(*made, strict=True))
    assert same >= len(made[0]) - 1  # another order of sums may tip one token


def test_the_engine_in_bf16(folder: str) -> None:
    policy = load(folder, device=DEVICE)
    assert policy.device.type == DEVICE
    engine = LocalEngine(policy.model, policy.tokenizer)
    groups = engine.generate([Context(token_ids=ids(20, 1))], 3, Sampling(max_completion_length=16))
    samples = [s for group in groups for s in group.samples]
    with torch.no_grad():
        again = score(policy.model, pack(samples), compute_dtype=torch.bfloat16).logps_N
    assert again is not None
    recorded = torch.tensor([logp for s in samples for logp in s.completion.logps])
    assert (again.cpu() - recorded).abs().mean() < 0.1


@pytest.mark.parametrize("use_peft", [False, True])
def test_training_runs_and_learns(folder: str, tmp_path: Path, use_peft: bool) -> None:
    rows = [{"prompt": f"Say {n}", "chosen": f" yes {n}", "rejected": f" no {n}"} for n in range(12)]
    run = charter.train(
        "dpo",
        charter.load(folder, device=DEVICE),
        rows,
        output_dir=tmp_path / "run",
        learning_rate=3e-3,
        max_steps=6,
        per_device_train_batch_size=12,
        save_steps=3,
        use_peft=use_peft,
    )
    losses = [row["loss"] for row in read_jsonl(run.path / "metrics.jsonl")]
    assert losses[0] == pytest.approx(0.6931, abs=0.01)
    assert losses[-1] < 0.6
    assert run.policy.device.type == DEVICE


def test_moments_come_back_to_where_the_weights_are(folder: str) -> None:
    options = TrainOptions(bf16=False)
    policy = load(folder, bf16=False, device=DEVICE)
    prepare_for_training(policy, options)
    optimizer = make_optimizer(policy.trainable(), options)
    for parameter in policy.trainable().values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = checkpoint.capture(1, policy.trainable(), optimizer, {}, {}, {}, {})
    moments = {name: moment.detach().cpu().clone() for name, moment in state.optimizer.items()}
    weights = {name: weight.detach().cpu().clone() for name, weight in state.weights.items()}
    optimizer.step()
    after = {name: weight.detach().cpu().clone() for name, weight in policy.trainable().items()}
    back = replace(state, optimizer=moments, weights=weights)
    checkpoint.restore(back, policy.trainable(), optimizer)
    for parameter in policy.trainable().values():
        parameter.grad = torch.ones_like(parameter)
        assert all(m.device == parameter.device for m in optimizer.state[parameter].values() if m.dim())
    optimizer.step()  # the same second step from what came back
    for name, weight in policy.trainable().items():
        torch.testing.assert_close(weight.detach().cpu(), after[name], rtol=0, atol=0)


def test_random_numbers_of_the_gpu_come_back_and_are_not_taken_from_the_caller() -> None:
    torch.cuda.manual_seed(3)
    before = random_state()
    with seeded(7):
        first = torch.rand(4, device=DEVICE)
    assert all(torch.equal(state, before[name]) for name, state in random_state().items())
    with seeded(7):
        assert torch.equal(torch.rand(4, device=DEVICE), first)
    drawn = torch.rand(4, device=DEVICE)
    set_random_state(before)
    assert torch.equal(torch.rand(4, device=DEVICE), drawn)
