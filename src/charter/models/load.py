"""From a name to a policy: a checkpoint or an adapter, checked before it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from charter.errors import EnvironmentFault, UserError
from charter.models.check import check_adapter_fits, check_checkpoint
from charter.models.hub import resolve
from charter.models.policy import Policy
from charter.models.quantized import FourBit, quantize, require_bitsandbytes
from charter.models.reward import adapter_dimensions, under_its_head
from charter.models.reward_scale import RewardScale
from charter.models.save import BASE
from charter.models.trained_as import TrainedAs


def load(
    name: str,
    *,
    bf16: bool = True,
    device: str | torch.device | None = None,
    load_in_4bit: bool = False,
) -> Policy:
    """Load a policy for sampling and scoring.

    Args:
        name: ``smollm2-135m``, a hub id, a checkpoint folder, or an adapter folder.
        bf16: compute in bfloat16; off = float32.
        device: where it computes; None = the first CUDA device, or the CPU where there is none.
        load_in_4bit: quantise the linear layers to four bits (needs bitsandbytes).

    Raises:
        UserError: nothing by that name, or the folder is not a sound checkpoint.
        EnvironmentFault: it has to be fetched and cannot be, or there is no such device.
    """
    where = _device(device)
    if load_in_4bit:
        require_bitsandbytes()
    path = resolve(name)
    check_checkpoint(path)
    dtype = torch.bfloat16 if bf16 else torch.float32
    adapter = path / "adapter_config.json"
    base = path
    if adapter.exists():
        base = resolve(_base_of(path))
        check_checkpoint(base)
        check_adapter_fits(path, base)
    scale, trained = RewardScale.load(path), TrainedAs.load(path)
    model = _load_model(base, dtype)
    tokenizer = _load_tokenizer(path, base)
    if adapter.exists() and (outputs := adapter_dimensions(path)):
        model = under_its_head(model, outputs, path, tokenizer)
    if load_in_4bit:
        quantize(model, FourBit(), where, dtype)
    else:
        _move(model, where)
    if adapter.exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(path), torch_device=str(where))
    model.eval().requires_grad_(False)
    return Policy(
        model,
        tokenizer,
        name=name,
        path=path,
        compute_dtype=dtype,
        reward_scale=scale,
        trained_as=trained,
    )


def _device(asked: str | torch.device | None) -> torch.device:
    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EnvironmentFault(
            f"cannot compute on {asked}: {str(error).splitlines()[0]}",
            where="device",
            fix="leave device out, and the CPU or a CUDA device is taken",
        ) from None
    return device


def _move(model: Any, device: torch.device) -> None:
    try:
        model.to(device)
    except torch.OutOfMemoryError as error:
        raise EnvironmentFault(
            f"the model does not fit on {device}: {str(error).splitlines()[0]}",
            fix="free memory there, take a smaller model, or load_in_4bit=True",
        ) from None


def _load_model(path: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.utils import logging

    written = json.loads((path / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    rewards = written[0].endswith("ForSequenceClassification")
    kind = AutoModelForSequenceClassification if rewards else AutoModelForCausalLM

    logging.disable_progress_bar()
    try:
        model, info = kind.from_pretrained(
            str(path), dtype=dtype, output_loading_info=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"cannot load the model: {error}", where=str(path)) from None
    missing = sorted(info["missing_keys"])
    if missing:
        raise UserError(
            f"the checkpoint lacks {len(missing)} tensors, among them {missing[0]!r}",
            where=str(path),
            fix="use a complete causal language model checkpoint",
        )
    for key, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise UserError(
                f"{key} holds NaN or infinity", where=str(path), fix="use an undamaged checkpoint"
            )
    return model


def _load_tokenizer(path: Path, base: Path) -> Any:
    from transformers import AutoTokenizer

    source = path if (path / "tokenizer_config.json").exists() else base
    return AutoTokenizer.from_pretrained(str(source), trust_remote_code=False)


def _base_of(adapter: Path) -> str:
    """Where the base of an adapter folder is: inside it, or where its config says."""
    if (adapter / BASE).is_dir():
        return str(adapter / BASE)
    adapter_config = adapter / "adapter_config.json"
    base = json.loads(adapter_config.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise UserError("the adapter does not say which base model it belongs to", where=str(adapter_config))
    return str(base)
