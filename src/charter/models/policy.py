"""A policy: a model, its tokenizer, and how it is computed.

The reference is not a second model. With a LoRA adapter it is the same weights
with the adapter off; for full fine-tuning its log-probs are computed once,
before the first step, and cached.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from torch import nn

from charter.catalogue.options import TrainOptions
from charter.data.render import Template
from charter.errors import EnvironmentFault, TrainingFault, UserError
from charter.models.check import check_adapter_fits, check_checkpoint
from charter.models.hub import resolve
from charter.models.quantized import FourBit, has_quantized, quantize, require_bitsandbytes
from charter.models.reward import (
    adapter_dimensions,
    dimension_names,
    head_of,
    padding_token,
    under_its_head,
    with_reward_head,
    without_adapter_names,
)
from charter.models.reward_scale import RewardScale
from charter.models.score import is_llama_style

BASE = "base"
"""Folder inside a saved adapter that holds its base, where the base is on no disk otherwise."""


@dataclass
class Policy:
    """A causal language model ready to be sampled, scored or trained.

    Attributes:
        model: a transformers model, possibly wrapped by peft.
        tokenizer: its tokenizer.
        name: what the person called it.
        path: the folder it was loaded from.
        compute_dtype: type of activations and matrix products.
        version: optimizer steps the weights have taken since loading.
        derived: the weights (under an adapter: the base) are no longer those at ``path``.
        reward_scale: of a reward model: what its rewards are normalised by; None = nothing.
    """

    model: Any
    tokenizer: Any
    name: str
    path: Path
    compute_dtype: torch.dtype = torch.bfloat16
    version: int = 0
    derived: bool = False
    reward_scale: RewardScale | None = None
    _template: Template | None = field(default=None, repr=False)

    @property
    def template(self) -> Template:
        """Renders groups for this policy's tokenizer."""
        if self._template is None:
            self._template = Template(self.tokenizer)
        return self._template

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def has_reward_head(self) -> bool:
        """Whether it is a reward model."""
        return hasattr(self.model, "score")

    @property
    def has_adapter(self) -> bool:
        """Whether a LoRA adapter is attached."""
        return hasattr(self.model, "disable_adapter")

    def trainable(self) -> dict[str, nn.Parameter]:
        """Parameters that training changes, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def digest(self) -> str:
        """sha256 of what is computed: every weight, and the type it is computed in.

        Exact sums of the weights' bits, so neither threads nor order matter.
        """
        found = hashlib.sha256(str(self.compute_dtype).encode())
        for name, parameter in sorted(self.model.named_parameters()):
            found.update(f"{name}:{tuple(parameter.shape)}:{_bit_sums(parameter.detach())}".encode())
        return found.hexdigest()


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
    scale = RewardScale.load(path)
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
    return Policy(model, tokenizer, name=name, path=path, compute_dtype=dtype, reward_scale=scale)


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


def prepare_for_training(policy: Policy, options: TrainOptions, dimensions: int | None = None) -> None:
    """Make the policy's weights trainable, in place.

    With ``dimensions`` the model gets a reward head of so many outputs, unless it has one.

    LoRA: the base is frozen in the compute type and the adapter is float32.
    Full fine-tuning: all weights are float32, their own master copy. An adapter
    the policy already carries is merged first, so that the reference is the
    policy as it was given; that cannot be done to four-bit weights.

    Raises:
        UserError: the policy's weights and the options do not fit.
        EnvironmentFault: load_in_4bit without bitsandbytes.
    """
    _check_quantization(policy, options)
    if policy.has_adapter:
        _cast_weights(policy.model, torch.float32)
        policy.model = policy.model.merge_and_unload()
        policy.derived = True
    policy.compute_dtype = torch.bfloat16 if options.bf16 else torch.float32
    if dimensions is not None:
        policy.model = _rewarding(policy, dimensions, options.seed)
        policy.reward_scale = None
    _quiet_dropout(policy.model)
    policy.model.eval()
    if options.use_peft:
        _cast_weights(policy.model, policy.compute_dtype)
        policy.model.requires_grad_(False)
        if options.load_in_4bit and not has_quantized(policy.model):
            how = FourBit(options.bnb_4bit_quant_type, options.use_bnb_nested_quant)
            quantize(policy.model, how, policy.device, policy.compute_dtype)
        policy.model = _add_lora(policy, options)
    else:
        _cast_weights(policy.model, torch.float32)
        policy.model.requires_grad_(True)
        # No token goes without gradient: the padding token may be the end-of-turn token.
        policy.model.get_input_embeddings().padding_idx = None
        policy.derived = True


def _check_quantization(policy: Policy, options: TrainOptions) -> None:
    """Four-bit weights can neither be trained themselves, nor take up an adapter, nor be saved as a base."""
    if options.load_in_4bit:
        require_bitsandbytes()
    elif not has_quantized(policy.model):
        return
    if not options.use_peft:
        raise UserError("four-bit weights cannot be trained", where="use_peft", fix="set use_peft: true")
    if policy.has_adapter or policy.derived:
        raise UserError(
            "load_in_4bit needs a base that is on disk as it is, without an adapter",
            where="load_in_4bit",
            fix="merge it with `charter model export --merge`, and train from that folder",
        )


def _rewarding(policy: Policy, dimensions: int, seed: int) -> Any:
    model = policy.model
    if not policy.has_reward_head:
        return with_reward_head(model, dimensions, seed, policy.tokenizer)
    model.config.pad_token_id = padding_token(policy.tokenizer)
    if head_of(model).out_features != dimensions:
        raise UserError(
            f"the reward model has {head_of(model).out_features} dimensions, the data {dimensions}",
            fix="train from the language model, or on data with the same dimensions",
        )
    return model


def save_policy(policy: Policy, directory: Path) -> None:
    """Save what was trained so that plain transformers (and peft) load it, whole or not at all.

    An adapter names its base. Where that base is on no disk (the policy carried
    another adapter before, or was trained in this process), it is saved inside,
    as ``directory/base``.

    Raises:
        TrainingFault: a weight is not finite; nothing is written.
        EnvironmentFault: the disk refuses.
    """
    for name, parameter in policy.trainable().items():
        if not torch.isfinite(parameter).all():
            raise TrainingFault(f"{name} holds NaN or infinity: the model is not saved")
    temporary = directory.with_name(f".{directory.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        if inner := policy.has_adapter and policy.derived:
            _save_base(policy, temporary / BASE)
            for config in policy.model.peft_config.values():
                config.base_model_name_or_path = str((directory / BASE).absolute())
        # peft would look for the base's vocabulary in a folder that is still to be renamed.
        more = {"save_embedding_layers": False} if inner else {}
        policy.model.save_pretrained(str(temporary), **more)
        _save_tokenizer(policy, temporary)
        if policy.has_reward_head:
            scale = policy.reward_scale or RewardScale.unmeasured(dimension_names(policy.model))
            scale.save(temporary)
        shutil.rmtree(directory, ignore_errors=True)
        temporary.rename(directory)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise EnvironmentFault(
            f"cannot save the model: {error}", where=str(directory), fix="free some disk space"
        ) from None


@contextlib.contextmanager
def adapter_off(model: Any) -> Iterator[Any]:
    """The same model with its adapter switched off; the model itself where there is none."""
    if not hasattr(model, "disable_adapter"):
        yield model
        return
    with model.disable_adapter():
        yield model


def _save_base(policy: Policy, directory: Path) -> None:
    """The model under the adapter, as a checkpoint of its own."""
    inner = policy.model.get_base_model()
    inner.save_pretrained(str(directory), state_dict=without_adapter_names(inner.state_dict()))
    _save_tokenizer(policy, directory)


def _save_tokenizer(policy: Policy, directory: Path) -> None:
    """The tokenizer; beside a reward model it pads with the token its config names."""
    tokenizer = policy.tokenizer
    if policy.has_reward_head and policy.model.config.pad_token_id not in (None, tokenizer.pad_token_id):
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(policy.model.config.pad_token_id)
    tokenizer.save_pretrained(str(directory))


def _add_lora(policy: Policy, options: TrainOptions) -> Any:
    from peft import LoraConfig, get_peft_model

    rewards = policy.has_reward_head
    config = LoraConfig(
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_target_modules or ()) or "all-linear",
        task_type="SEQ_CLS" if rewards else "CAUSAL_LM",
        modules_to_save=["score"] if rewards else None,
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(options.seed)  # the adapter's first weights must not depend on what ran before
    try:
        model = get_peft_model(policy.model, config)
    except ValueError as error:
        raise UserError(
            f"cannot attach the adapter: {error}", where="lora_target_modules", fix="name linear layers"
        ) from None
    finally:
        torch.random.set_rng_state(state)
    _refuse_idle_adapters(model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # its own master copy
    if options.lora_dropout:
        model.train()  # only the adapter's dropout is left to switch on
    return model


def _refuse_idle_adapters(model: Any) -> None:
    """The one forward takes embedding and head as they are: an adapter there would do nothing."""
    if not is_llama_style(model):
        return
    inner = model.get_base_model()
    edges = {"embed_tokens": inner.model.embed_tokens, "lm_head": getattr(inner, "lm_head", None)}
    for where, layer in edges.items():
        if isinstance(layer, BaseTunerLayer):
            raise UserError(
                f"no adapter can be trained on {where}",
                where="lora_target_modules",
                fix="name linear layers inside the decoder, such as q_proj or down_proj",
            )


def _cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Weights only: ``model.to(bf16)`` would round the rotary frequencies too."""
    for parameter in model.parameters():
        if parameter.is_floating_point():  # not what is quantised
            parameter.data = parameter.data.to(dtype)


def _quiet_dropout(model: nn.Module) -> None:
    """Dropout of the base model off: a ratio of two forwards must be 1 at step 0."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]  # a function applies it


def _bit_sums(values: torch.Tensor) -> tuple[int, int]:
    """Sum of the bit patterns and of their squares, exact in whatever order they are added."""
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    bits = values.contiguous().view(kind).flatten()
    first = second = 0
    for start in range(0, len(bits), 1 << 22):  # in parts, as 64-bit copies are large
        wide = bits[start : start + (1 << 22)].long()
        first += int(wide.sum())
        second += int((wide * wide).sum())
    return first, second


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
