"""An export loads with plain transformers and peft, computes the same, and is not kept when it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from charter.errors import EnvironmentFault, UserError
from charter.models import export as export_module
from charter.models.export import EXPORT_RECORD, export
from charter.testing import save_tiny

IDS = torch.arange(20, 60)[None]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(save_tiny(str(tmp_path / "base")))


def save_adapter(base: Path, folder: Path, strength: float) -> Path:
    """A LoRA adapter whose change to the model has about this size."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = strength * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Path:
    save_adapter(base, tmp_path / "run" / "model", 0.05)
    return tmp_path / "run"


def live_logits(base: Path, adapter: Path) -> torch.Tensor:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)(IDS).logits


def plain_logits(folder: Path) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)(IDS).logits


def test_an_adapter_loads_with_plain_peft_and_has_a_tokenizer(run: Path, base: Path, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    written = export(run, tmp_path / "out")
    assert (written.kind, written.base) == ("adapter", str(base.resolve()))
    logits = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")(IDS).logits
    torch.testing.assert_close(logits, live_logits(base, run / "model"), atol=1e-5, rtol=0)
    assert written.base_gap is not None and written.base_gap > 0.01
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert json.loads((tmp_path / "out" / EXPORT_RECORD).read_text())["kind"] == "adapter"


def test_a_merged_model_needs_no_base(run: Path, base: Path, tmp_path: Path) -> None:
    live = live_logits(base, run / "model")
    before = plain_logits(base)
    written = export(run, tmp_path / "out", merge=True)
    shutil.rmtree(base)
    merged = plain_logits(tmp_path / "out")
    torch.testing.assert_close(merged, live, atol=1e-3, rtol=0)
    assert (merged - before).abs().max() > 0.01
    assert written.kind == "merged"
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] == 257


def test_a_change_that_bfloat16_would_round_away_survives_merging(base: Path, tmp_path: Path) -> None:
    """The base in bfloat16, and a change far below its rounding step."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(base).to(torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(base).save_pretrained(half)
    adapter = save_adapter(half, tmp_path / "small", 1e-3)
    written = export(adapter, tmp_path / "out", merge=True)
    assert written.base_gap is not None
    assert written.base_gap > 10 * written.live_gap


def test_a_full_model_is_copied_without_pickles(base: Path, tmp_path: Path) -> None:
    (base / "training_args.bin").write_bytes(b"pickle")
    written = export(base, tmp_path / "deep" / "out")
    assert (written.kind, written.live_gap, written.base_gap) == ("model", 0.0, None)
    torch.testing.assert_close(plain_logits(tmp_path / "deep" / "out"), plain_logits(base))
    assert not (tmp_path / "deep" / "out" / "training_args.bin").exists()


def test_merging_an_adapter_without_effect_fails(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, tmp_path / "untrained", 0.0)
    with pytest.raises(EnvironmentFault, match="is the base model again"):
        export(adapter, tmp_path / "out", merge=True)
    assert not (tmp_path / "out").exists()


def test_an_export_that_computes_something_else_is_not_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    copy = export_module._copy

    def loses_a_tensor(source: Path, staging: Path) -> None:
        copy(source, staging)
        tensors = load_file(staging / "adapter_model.safetensors")
        del tensors[next(name for name in tensors if "lora_B" in name)]
        save_file(tensors, staging / "adapter_model.safetensors", {"format": "pt"})

    monkeypatch.setattr(export_module, "_copy", loses_a_tensor)
    with pytest.raises(EnvironmentFault, match="does not compute what the live one does") as caught:
        export(run, tmp_path / "out")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_an_unfaithful_merge_is_not_kept(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft.tuners.lora import LoraModel

    merge = LoraModel.merge_and_unload

    def wrong(self: object, *args: object, **kwargs: object) -> object:
        model = merge(self, *args, **kwargs)
        model.model.layers[0].mlp.down_proj.weight.data *= 1.1
        return model

    monkeypatch.setattr(LoraModel, "merge_and_unload", wrong)
    with pytest.raises(EnvironmentFault, match="does not compute what the live one does"):
        export(run, tmp_path / "out", merge=True)
    assert not (tmp_path / "out").exists()


def test_nothing_to_merge(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to merge"):
        export(base, tmp_path / "out", merge=True)


def test_a_taken_output_is_left_alone(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="exists already"):
        export(base, out)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]


def test_an_empty_output_folder_is_used(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(base, tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_an_adapter_of_another_base_is_refused_before_loading(run: Path, base: Path, tmp_path: Path) -> None:
    shutil.rmtree(base)
    save_tiny(str(base), num_hidden_layers=1)
    with pytest.raises(UserError, match="does not have"):
        export(run, tmp_path / "out")


def test_an_unwritable_place_is_an_environment_fault(base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot export"):
        export(base, tmp_path / "file" / "out")


def test_a_full_disk_is_found_first(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(EnvironmentFault, match="MB of disk space"):
        export(base, tmp_path / "out")
