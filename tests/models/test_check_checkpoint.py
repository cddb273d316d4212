"""A bad checkpoint is refused in seconds, by name, before anything is loaded or run."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from charter.errors import UserError
from charter.models.check import check_adapter_fits, check_checkpoint
from charter.models.safetensors_header import read_header
from charter.testing import save_tiny, tiny_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_tiny(str(tmp_path_factory.mktemp("models") / "whole")))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def edit_json(path: Path, change: Callable[[dict], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        check_checkpoint(path)
    assert caught.value.where is not None
    return str(caught.value)


def test_a_sound_model_is_described(folder: Path) -> None:
    found = check_checkpoint(folder)
    assert (found.kind, found.model_type, found.base) == ("model", "llama", "")
    assert found.parameters == sum(weight.numel() for weight in tiny_model().parameters())
    assert found.embedding_rows == found.tokenizer_size == 258


# -- weights -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_a_pickle_is_refused_and_not_opened(folder: Path, tmp_path: Path, name: str) -> None:
    marker = tmp_path / "payload-ran"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(marker), "w"))  # type: ignore[return-value]

    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Payload()))
    message = refusal(folder)
    assert name in message
    assert "safetensors" in message
    assert not marker.exists()


def test_a_pickle_beside_safetensors_is_left_alone(folder: Path) -> None:
    (folder / "training_args.bin").write_bytes(b"whatever")
    assert check_checkpoint(folder).kind == "model"


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refusal(folder)


@given(keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_named_wherever_it_is_cut(whole: Path, keep: float) -> None:
    content = (whole / "model.safetensors").read_bytes()
    cut = whole.parent / "cut.safetensors"
    cut.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(UserError) as caught:
        read_header(cut)
    assert caught.value.where == str(cut)


def test_truncation_names_the_tensor_that_was_cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    message = refusal(folder)
    assert "truncated" in message
    assert "cut in model." in message


def test_header_agrees_with_the_library(whole: Path) -> None:
    loaded = load_file(whole / "model.safetensors")
    assert read_header(whole / "model.safetensors") == {
        name: tuple(tensor.shape) for name, tensor in loaded.items()
    }


def with_header(header: object, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "header claims 0 bytes"),
        (b"\xff" * 8, "header claims 18446744073709551615 bytes"),
        (struct.pack("<Q", 1 << 40) + b"{}", "header claims 1099511627776 bytes"),
        (with_header(b"not json"), "not JSON"),
        (with_header(b"[" * 100_000), "not JSON"),
        (with_header([1]), "not a JSON object"),
        (with_header({"a": {"dtype": "F32", "shape": [2]}}), "malformed"),
        (with_header({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"0" * 8), "malformed"),
        (
            with_header({"a": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}}, b"0" * 8),
            "unknown type",
        ),
        (with_header({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"0" * 8), "8 bytes"),
        (
            with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"0" * 8),
            "starts at byte 4",
        ),
        (
            with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"0" * 8),
            "4 bytes follow",
        ),
    ],
)
def test_an_absurd_header_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=why):
        read_header(path)


def shard(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    where = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    (folder / "model.safetensors").unlink()


def test_shards(folder: Path) -> None:
    before = check_checkpoint(folder)
    shard(folder)
    assert check_checkpoint(folder) == before


def test_a_missing_shard_is_named(folder: Path) -> None:
    shard(folder)
    (folder / "b.safetensors").unlink()
    assert "shard b.safetensors is missing" in refusal(folder)


def test_a_tensor_in_no_shard_is_named(folder: Path) -> None:
    shard(folder)
    save_file({"other": torch.zeros(1)}, folder / "b.safetensors")
    assert "are in no shard" in refusal(folder)


def test_a_shard_outside_the_folder_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"x": "../elsewhere.safetensors"}})
    )
    assert "outside the model folder" in refusal(folder)


# -- configuration and tokenizer -----------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(folder: Path, name: str) -> None:
    edit_json(folder / name, lambda c: c.update(auto_map={"AutoModelForCausalLM": "modeling_x.X"}))
    message = refusal(folder)
    assert "auto_map" in message
    assert name in message


def test_broken_json_names_file_and_line(folder: Path) -> None:
    (folder / "config.json").write_text('{\n "model_type": "llama",\n oops\n}')
    assert f"{folder / 'config.json'}:3: not valid JSON" in refusal(folder)


def test_config_that_is_not_a_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"a": 1}')
    assert "model_type" in refusal(folder)


def test_tokenizer_larger_than_the_embedding_gives_both_numbers(folder: Path) -> None:
    edit_json(
        folder / "tokenizer.json",
        lambda c: c["added_tokens"].append({**c["added_tokens"][0], "id": 260, "content": "<new>"}),
    )
    message = refusal(folder)
    assert "261 tokens" in message
    assert "258 rows" in message


def test_tokenizer_smaller_than_the_embedding_is_usual(tmp_path: Path) -> None:
    folder = save_tiny(str(tmp_path / "padded"), vocab_size=320)
    found = check_checkpoint(folder)
    assert (found.tokenizer_size, found.embedding_rows) == (258, 320)


def test_config_and_weights_of_different_models(folder: Path) -> None:
    edit_json(folder / "config.json", lambda c: c.update(vocab_size=1000))
    message = refusal(folder)
    assert "1000" in message
    assert "258 rows" in message


def test_unigram_vocabulary_is_a_list(folder: Path) -> None:
    def unigram(content: dict) -> None:
        content["model"] = {"type": "Unigram", "vocab": [[f"t{i}", -1.0] for i in range(300)]}

    edit_json(folder / "tokenizer.json", unigram)
    assert "300 tokens" in refusal(folder)


def test_missing_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json is missing" in refusal(folder)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None])
def test_not_a_model_folder(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")
    assert "model folder" in refusal(tmp_path / "x")


# -- adapters ------------------------------------------------------------------


@pytest.fixture
def adapter(whole: Path, tmp_path: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.peft_config["default"].base_model_name_or_path = str(whole)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_is_described(adapter: Path, whole: Path) -> None:
    found = check_checkpoint(adapter)
    assert (found.kind, found.model_type, found.base) == ("adapter", "LORA", str(whole))
    assert found.parameters > 0
    check_adapter_fits(adapter, whole)


def test_an_adapter_must_name_its_base(adapter: Path) -> None:
    edit_json(adapter / "adapter_config.json", lambda c: c.update(base_model_name_or_path=None))
    assert "does not name its base model" in refusal(adapter)


def test_a_pickled_adapter_is_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert "pickled (adapter_model.bin)" in refusal(adapter)


def test_an_adapter_of_a_wider_base_gives_both_shapes(adapter: Path, tmp_path: Path) -> None:
    other = save_tiny(str(tmp_path / "other"), hidden_size=24, num_attention_heads=3, num_key_value_heads=1)
    with pytest.raises(UserError) as caught:
        check_adapter_fits(adapter, other)
    assert "96 x 24" in caught.value.what or "24 x 96" in caught.value.what or "x 24" in caught.value.what
    assert "4 x 48" in caught.value.what or "48 x 4" in caught.value.what


def test_an_adapter_of_a_deeper_base_names_the_layer(adapter: Path, tmp_path: Path) -> None:
    other = save_tiny(str(tmp_path / "other"), num_hidden_layers=1)
    with pytest.raises(UserError, match=r"changes model\.layers\.1\..*does not have"):
        check_adapter_fits(adapter, other)
