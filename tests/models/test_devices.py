"""Nothing the model computes with is left on another device than the model.

There need be no accelerator: the ``meta`` device stands for one. It holds no numbers, but it is
not the CPU, and a watcher refuses every operation that mixes the two.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import charter
from charter.data.packing import pack
from charter.engines.decoder import Decoder
from charter.engines.weights import Matrix, snapshot
from charter.errors import EnvironmentFault
from charter.models import blocks, head, plain
from charter.models.load import load
from charter.models.reward import with_reward_head
from charter.models.score import divergence, score
from charter.testing import save_tiny
from charter.testing.tiny import FAMILIES, tiny_model
from charter.types import Completion, Context, Sample

META = torch.device("meta")
_MOVES = ("aten._to_copy", "aten.copy_")


class OneDevice(TorchDispatchMode):
    """Refuses operations whose tensors are on different devices; scalars may come from the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.dim()]
        devices = {tensor.device.type for tensor in tensors}
        if len(devices) > 1 and not str(func).startswith(_MOVES):
            raise AssertionError(f"{func} meets tensors on {devices}")
        return func(*args, **(kwargs or {}))


def samples() -> list[Sample]:
    ids = torch.randint(0, 255, (4, 60), generator=torch.Generator().manual_seed(0)).tolist()
    return [
        Sample(Context(token_ids=tuple(ids[0][:30])), Completion(token_ids=tuple(x), trained=(True,) * 60))
        for x in ids
    ]


@pytest.fixture
def watched() -> Iterator[None]:
    with OneDevice():
        yield


def test_the_watcher_sees_what_it_is_for() -> None:
    there, here = torch.ones(3, device=META), torch.tensor([0, 1])
    with OneDevice():
        assert (there * 2.0 + torch.tensor(1.0)).device == META
        for mixed in (
            lambda: there[here],
            lambda: there.index_select(0, here),
            lambda: there + torch.ones(3),
        ):
            with pytest.raises((AssertionError, RuntimeError), match=r"device|meet"):
                mixed()


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_scores_and_gradients_are_computed_where_the_model_is(family: str, dtype: torch.dtype) -> None:
    model = tiny_model(0, family).to(META).requires_grad_(True)
    outputs = ("logps", "entropy", "squared_probs", "top")
    found = score(model, pack(samples()), outputs=outputs, compute_dtype=dtype, top_k=3)
    assert found.logps_N is not None and found.top_ids_NK is not None
    assert found.logps_N.device == found.top_ids_NK.device == META
    found.logps_N.sum().backward()
    assert all(p.grad is not None and p.grad.device == META for p in model.parameters())
    with torch.no_grad():
        assert divergence(model, model, pack(samples()), compute_dtype=dtype).device == META


@pytest.mark.usefixtures("watched")
def test_adapters_rewards_and_the_padded_path_too() -> None:
    packed = pack(samples(), [[-1], [-1], [3, -1], []])
    lora = get_peft_model(tiny_model().to(META), LoraConfig(r=4, target_modules="all-linear"))
    found = score(lora, packed).logps_N
    assert found is not None
    found.sum().backward()
    rewarding = with_reward_head(tiny_model().to(META), 2)
    read = score(rewarding, packed, outputs=("reward",)).reward_RZ
    assert read is not None and read.device == META and read.shape == (4, 2)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_decoder_and_its_cache_are_where_the_model_is(family: str) -> None:
    model = tiny_model(0, family)
    weights = snapshot(model, 0, torch.float32)  # checks that weights are finite, so it needs numbers
    model.to(META)
    there = _moved(weights)
    decoder = Decoder(there, blocks.backbone(model), adapter=True, max_length=80)
    prefixes = decoder.prefill([tuple(range(40)), tuple(range(20)), (1, 2, 3)])
    cache = decoder.new_cache(4)
    cache.reserve(41)
    for row, prefix in enumerate(prefixes):
        cache.fill(row, prefix)
    hidden = decoder.step(torch.zeros(4, dtype=torch.long, device=META), cache, 3)
    assert decoder.logits(hidden).device == META
    assert cache.lengths.device == META


def _moved(value: Any) -> Any:
    """The same weights on the meta device."""
    if isinstance(value, torch.Tensor):
        return value.to(META)
    if isinstance(value, Matrix):
        made = Matrix.__new__(Matrix)
        made.__dict__ = {name: _moved(part) for name, part in value.__dict__.items()}
        return made
    if isinstance(value, tuple):
        return tuple(_moved(part) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _moved(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    return value


def test_rows_go_through_the_head_at_once_where_launches_cost() -> None:
    assert head._rows_at_once(torch.device("cuda")) == head.CHUNK > head._rows_at_once(torch.device("cpu"))


@pytest.mark.usefixtures("watched")
def test_the_padded_forward_gets_its_rows_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.device] = []

    def forward(**inputs: Any) -> Any:
        seen.extend(value.device for value in inputs.values() if isinstance(value, torch.Tensor))
        raise InterruptedError

    model = tiny_model().to(META)
    monkeypatch.setattr(model, "forward", forward)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # none for meta
    with pytest.raises(InterruptedError):
        plain.logits(model, pack(samples()))
    assert seen == [META, META]


# -- loading -------------------------------------------------------------------------


def test_a_policy_is_loaded_where_it_is_asked_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_tiny(str(tmp_path))
    assert load(folder, device="cpu").device.type == "cpu"
    moved: list[torch.device] = []
    monkeypatch.setattr("charter.models.load._move", lambda model, device: moved.append(device))
    for available, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=available: found)
        load(folder)
        assert moved.pop().type == expected


@pytest.mark.parametrize("device", ["nowhere", "cuda:99"])
def test_a_device_that_is_not_there_is_an_error_before_anything_is_read(device: str) -> None:
    with pytest.raises(EnvironmentFault, match=device) as error:
        load("no/such/model", device=device)
    assert error.value.where == "device"


def test_four_bits_without_the_library_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(EnvironmentFault) as error:
        load("no/such/model", load_in_4bit=True)
    assert "quantized" in (error.value.fix or "")


# -- the source ----------------------------------------------------------------------


def test_tensors_come_to_the_cpu_before_they_become_arrays() -> None:
    """``.numpy()`` fails on every other device."""
    found = []
    for file in Path(charter.__file__).parent.rglob("*.py"):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            for call in re.finditer(r"\.numpy\(\)", line):
                if not line[: call.start()].endswith(".cpu()"):
                    found.append(f"{file}:{number}")
    assert not found
