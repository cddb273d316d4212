"""Four-bit weights under a LoRA adapter (QLoRA, Dettmers et al. 2023, 2305.14314).

The linear layers are quantised where they are, one after the other, on their way
to the device: it never holds them in 16 bits. Embedding, norms and heads stay as
they are. The one file that knows bitsandbytes, an optional dependency.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from charter.errors import EnvironmentFault
from charter.models.blocks import is_quantized


@dataclass(frozen=True, slots=True)
class FourBit:
    """How weights are quantised.

    Attributes:
        quant_type: ``nf4`` has its levels where normally distributed weights are, ``fp4`` is a float.
        nested: quantise the scales too.
    """

    quant_type: Literal["nf4", "fp4"] = "nf4"
    nested: bool = False


def has_quantized(model: nn.Module) -> bool:
    """Whether any linear layer of ``model`` is quantised."""
    return any(isinstance(module, nn.Linear) and is_quantized(module) for module in model.modules())


def require_bitsandbytes() -> Any:
    """The library.

    Raises:
        EnvironmentFault: it is not installed.
    """
    try:
        return importlib.import_module("bitsandbytes")
    except ImportError:
        raise EnvironmentFault(
            "load_in_4bit needs the package bitsandbytes", fix="pip install 'charter[quantized]'"
        ) from None


def quantize(model: Any, how: FourBit, device: torch.device, dtype: torch.dtype) -> None:
    """Quantise every linear layer but the heads of a causal language model, in place, onto ``device``.

    Args:
        model: not wrapped by peft.
        how: levels and scales.
        device: where it goes.
        dtype: type of activations and matrix products.
    """
    library = require_bitsandbytes()
    heads = {id(model.get_output_embeddings()), id(getattr(model, "score", None))}
    layers = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and id(child) not in heads and not is_quantized(child)
    ]
    for parent, name, child in layers:
        made = library.nn.Linear4bit(
            child.in_features,
            child.out_features,
            child.bias is not None,
            compute_dtype=dtype,
            compress_statistics=how.nested,
            quant_type=how.quant_type,
            device="meta",
        )
        made.weight = library.nn.Params4bit(
            child.weight.data,
            requires_grad=False,
            compress_statistics=how.nested,
            quant_type=how.quant_type,
            module=made,
        )
        made.bias = child.bias
        setattr(parent, name, made.to(device))  # the move is what quantises
    model.to(device)
    model.is_loaded_in_4bit = True  # peft then takes its own layer for quantised weights
