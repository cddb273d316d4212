from __future__ import annotations

import gc
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from charter.catalogue import ENTRIES, TrainOptions
from charter.data.packing import pack
from charter.engines import weights as weights_module
from charter.engines.cache import KVCache
from charter.engines.local import LocalEngine
from charter.models import attention, head, memory, rollout_memory
from charter.models.architecture import architecture_of
from charter.models.load import load
from charter.models.score import score
from charter.models.trainable import prepare_for_training
from charter.testing import save_tiny
from charter.training.critic import make_critic
from charter.types import Completion, Context, Sample

MEDIUM: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 8000,
}


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("medium")), **MEDIUM)


@pytest.mark.parametrize("overrides", [{}, {"tie_word_embeddings": False}, MEDIUM], ids=str)
def test_weights_are_counted_exactly(tmp_path: Path, overrides: dict[str, Any]) -> None:
    shape = memory.read_shape(Path(save_tiny(str(tmp_path), **overrides)))
    assert shape is not None
    policy = load(str(tmp_path), bf16=False)
    assert shape.parameters == sum(p.numel() for p in policy.model.parameters())
    prepare_for_training(policy, TrainOptions(use_peft=True, lora_r=4))
    assert shape.adapter(4) == sum(p.numel() for p in policy.trainable().values())


def test_constants_are_those_of_the_forward() -> None:
    assert (memory.HEAD_ROWS, memory.HEAD_CELLS) == (head.CHUNK, head._CHUNK_CELLS)
    assert memory.QUERY_BLOCK == attention.QUERY_BLOCK


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_activations_are_what_autograd_keeps(medium: str, lora: bool, bf16: bool) -> None:
    options = TrainOptions(bf16=bf16, use_peft=lora, tokens_per_microbatch=600)
    policy = load(medium, bf16=bf16)
    prepare_for_training(policy, options)
    samples = [Sample(Context("", (i,)), Completion("", (5 + i,) * 200, (True,) * 200)) for i in range(3)]
    own = {p.untyped_storage().data_ptr() for p in policy.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        score(policy.model, pack(samples), compute_dtype=policy.compute_dtype)
    shape = memory.read_shape(Path(medium))
    assert shape is not None
    parts = {part.name: part.bytes for part in memory.plan(shape, options, length=200).parts}
    planned = parts["activations"] + parts.get("compute copies", 0)
    assert planned == pytest.approx(sum(kept.values()), rel=0.15)


PEAK = """
import re, sys
from pathlib import Path
import torch
import charter
from charter.models.load import load
from charter.pipeline.training import TrainRequest, train
from charter.catalogue import lookup

def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024

torch.set_num_threads(1)
model, folder, lora, data = sys.argv[1], sys.argv[2], sys.argv[3] == "lora", sys.argv[4]
options = lookup("sft").options(use_peft=lora, max_steps=1, bf16=False, per_device_train_batch_size=4)
load(model, bf16=False)  # imports what loading imports
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
train(TrainRequest("sft", options, data), load(model, bf16=False), Path(folder))
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak")
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_the_plan_is_near_the_measured_peak(tmp_path: Path, lora: bool) -> None:
    model = save_tiny(
        str(tmp_path / "model"),
        **{**MEDIUM, "hidden_size": 384, "intermediate_size": 1152},
    )
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"{i}", "completion": "word " * 60} for i in range(4)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    arguments = [model, str(tmp_path / "run"), "lora" if lora else "full", str(data)]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    shape = memory.read_shape(Path(model))
    assert shape is not None
    options = TrainOptions(use_peft=lora, bf16=False, tokens_per_microbatch=4 * 300)
    planned = memory.plan(shape, options, ENTRIES["sft"], length=300).total
    assert 0.5 < planned / measured < 1.6, (planned, measured)


def test_what_needs_more_takes_more(medium: str) -> None:
    shape = memory.read_shape(Path(medium))
    assert shape is not None

    def total(entry: str = "dpo", **options: Any) -> int:
        return memory.plan(shape, ENTRIES[entry].options(**options), ENTRIES[entry]).total

    assert total(use_peft=True) < total()
    assert total(sync_ref_model=True) > total()
    assert total(tokens_per_microbatch=16384) > total()
    assert total(use_peft=True, load_in_4bit=True) < total(use_peft=True)
    assert total("sft", bf16=False) > total("sft", bf16=True)


def online_parts(folder: str, entry: str, **options: Any) -> dict[str, memory.Part]:
    shape = memory.read_shape(Path(folder))
    assert shape is not None
    made = ENTRIES[entry].options(**options)
    return {part.name: part for part in memory.plan(shape, made, ENTRIES[entry]).parts}


def test_limits_are_those_of_the_sampler() -> None:
    defaults = inspect.signature(LocalEngine).parameters
    assert defaults["cache_gib"].default == rollout_memory.CACHE_GIB
    assert defaults["max_rows"].default == rollout_memory.MAX_ROWS


@pytest.mark.parametrize("overrides", [{}, {"tie_word_embeddings": False}], ids=str)
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_the_critic_is_counted_exactly(tmp_path: Path, lora: bool, overrides: dict[str, Any]) -> None:
    save_tiny(str(tmp_path), **overrides)
    options = ENTRIES["ppo"].options(use_peft=lora, bf16=False)
    made = make_critic(load(str(tmp_path), bf16=False), options)
    weights = sum(p.numel() for p in made.trainable().values())
    planned = online_parts(str(tmp_path), "ppo", use_peft=lora, bf16=False)["critic"].bytes
    assert planned == rollout_memory.PER_TRAINED_WEIGHT * weights


def test_the_sampler_is_counted_as_it_is(medium: str) -> None:
    policy = load(medium, bf16=False)
    prepare_for_training(policy, TrainOptions(bf16=False))
    before = {id(o) for o in gc.get_objects() if type(o) is torch.Tensor}
    copied = weights_module.snapshot(policy.model, 0, torch.float32)
    made = [o for o in gc.get_objects() if type(o) is torch.Tensor and id(o) not in before]
    held = sum(tensor.numel() * tensor.element_size() for tensor in made)
    assert copied.version == 0
    planned = online_parts(medium, "grpo", bf16=False)["sampler"].bytes
    assert planned == pytest.approx(held, rel=0.02)
    shape = memory.read_shape(Path(medium))
    assert shape is not None
    cache = KVCache(architecture_of(policy.model.config).shape, 8, torch.float32, torch.device("cpu"))
    cache.reserve(1024 + 256)
    planned = online_parts(medium, "grpo", bf16=False, per_device_train_batch_size=8)["rollouts cache"].bytes
    assert planned == sum(kv.numel() * kv.element_size() for kv in cache._kv)


def test_what_online_entries_hold(medium: str) -> None:
    assert online_parts(medium, "grpo")["reference"].bytes == 0
    assert online_parts(medium, "grpo")["critic"].bytes == 0
    assert online_parts(medium, "grpo", beta=0.1)["reference"].bytes > 0
    assert online_parts(medium, "grpo", beta=0.1, use_peft=True)["reference"].bytes == 0
    assert online_parts(medium, "online-dpo", sync_ref_model=True)["reference"].bytes > 0
    ema, plain = online_parts(medium, "nash-ema"), online_parts(medium, "nash-md")
    assert "sampled from" in ema["reference"].note and ema["reference"].bytes > plain["reference"].bytes
    assert plain["sampler"].bytes == 2 * online_parts(medium, "grpo")["sampler"].bytes
    ppo, lora = online_parts(medium, "ppo"), online_parts(medium, "ppo", use_peft=True)
    assert ppo["critic"].bytes > ppo["policy"].bytes > lora["critic"].bytes > 0
    assert "first trained weights" in online_parts(medium, "rest-em")["reference"].note
    narrow = online_parts(medium, "grpo", per_device_train_batch_size=8)
    assert narrow["rollouts cache"].bytes < online_parts(medium, "grpo")["rollouts cache"].bytes


def test_the_chosen_way_is_marked(medium: str) -> None:
    shape = memory.read_shape(Path(medium))
    assert shape is not None
    options = TrainOptions(use_peft=True)
    assert [memory.plan(shape, options, lora=lora).chosen for lora in (False, True)] == [False, True]


def test_unknown_kinds_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_embd": 12}', "utf-8")
    assert memory.read_shape(tmp_path) is None


def test_the_check_shows_the_plan_without_torch(medium: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom charter.cli.check_memory import plans_for, print_plans\n"
        f"plans = plans_for({medium!r})\nprint_plans('memory', plans)\n"
        "assert len(plans) == 2\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in ("policy", "reference", "critic", "gradients", "optimizer", "activations", "head", "in all"):
        assert word in done.stdout
