"""Which of a policy's weights are trained, and in what type: all of them, or a LoRA adapter."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from charter.catalogue.options import TrainOptions
from charter.errors import UserError
from charter.models.policy import Policy
from charter.models.quantized import FourBit, has_quantized, quantize, require_bitsandbytes
from charter.models.random_state import seeded
from charter.models.reward import head_of, padding_token, with_reward_head
from charter.models.score import is_llama_style


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
    merge_adapter(policy)
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


def merge_adapter(policy: Policy) -> None:
    """Make the adapter the policy carries, if any, part of its weights."""
    if policy.has_adapter:
        _cast_weights(policy.model, torch.float32)
        policy.model = policy.model.merge_and_unload()
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


def _add_lora(policy: Policy, options: TrainOptions) -> Any:
    from peft import LoraConfig, get_peft_model

    rewards = policy.has_reward_head
    config = LoraConfig(
        r=options.adapter_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_target_modules or ()) or "all-linear",
        task_type="SEQ_CLS" if rewards else "CAUSAL_LM",
        modules_to_save=["score"] if rewards else None,
    )
    try:
        with seeded(options.seed):  # the adapter's first weights must not depend on what ran before
            model = get_peft_model(policy.model, config)
    except ValueError as error:
        raise UserError(
            f"cannot attach the adapter: {error}", where="lora_target_modules", fix="name linear layers"
        ) from None
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
