"""A trained policy on disk, as plain transformers and peft load it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError

from charter.errors import EnvironmentFault, TrainingFault
from charter.models.policy import Policy
from charter.models.reward import dimension_names, without_adapter_names
from charter.models.reward_scale import RewardScale

BASE = "base"
"""Folder inside a saved adapter that holds its base, where the base is on no disk otherwise."""


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
        if policy.trained_as is not None:
            policy.trained_as.save(temporary)
        shutil.rmtree(directory, ignore_errors=True)
        temporary.rename(directory)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise EnvironmentFault(
            f"cannot save the model: {error}", where=str(directory), fix="free some disk space"
        ) from None


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
