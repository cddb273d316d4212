"""The plain twin of the one forward: pad, run transformers, take the logits.

Slow, simple, and differentiable any number of times. Tests hold the fast path
to it, architectures the fast path does not know run through it, and TRPO's
Hessian-vector products need it.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from charter.data.packing import Ints, Packed
from charter.errors import EnvironmentFault


def logits(model: Any, packed: Packed, compute_dtype: torch.dtype = torch.float32) -> Tensor:
    """Logits at the scored positions, ``(U, V)``, from a right-padded batch.

    The batch is rebuilt from the packed stream: one row per leaf of the forest.
    """
    _refuse_virtual_tokens(model)
    out, at_U = _forward(model, packed, packed.predictor_U, compute_dtype)
    picked: Tensor = out.logits[at_U]
    return picked


def logits_at(model: Any, packed: Packed, rows: Ints) -> Tensor:
    """Logits at some rows of the packed stream, ``(R, V)`` float32, the head applied to few others.

    Only the columns of the padded batch in which a row was asked for go through the head.
    """
    _refuse_virtual_tokens(model)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if "logits_to_keep" not in inspect.signature(inner.forward).parameters:
        out, at = _forward(model, packed, rows, torch.float32)
    else:
        columns = np.unique(_leaf_rows(packed)[1][rows, 1])
        keep = torch.from_numpy(columns).to(next(model.parameters()).device)
        out, (row, column) = _forward(model, packed, rows, torch.float32, logits_to_keep=keep)
        at = (row, torch.searchsorted(keep, column.contiguous()))
    picked: Tensor = out.logits[at]
    return picked


def hidden(model: Any, packed: Packed, rows: Ints, compute_dtype: torch.dtype = torch.float32) -> Tensor:
    """Final hidden states at some rows of the packed stream, through the backbone alone."""
    _refuse_virtual_tokens(model)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    out, at = _forward(inner.base_model, packed, rows, compute_dtype)
    picked: Tensor = out.last_hidden_state[at]
    return picked


def _forward(
    model: Any, packed: Packed, rows: Ints, compute_dtype: torch.dtype, **more: Tensor
) -> tuple[Any, tuple[Tensor, Tensor]]:
    """A right-padded forward, and where the rows of the packed stream are in it."""
    device = next(model.parameters()).device
    leaves, where_T = _leaf_rows(packed)
    width = max(len(row) for row in leaves)
    ids = np.zeros((len(leaves), width), dtype=np.int64)
    mask = np.zeros((len(leaves), width), dtype=np.int64)
    for index, row in enumerate(leaves):
        ids[index, : len(row)] = packed.input_ids_T[row]
        mask[index, : len(row)] = 1
    with torch.autocast(device.type, compute_dtype, enabled=compute_dtype != torch.float32):
        out = model(
            input_ids=torch.from_numpy(ids).to(device),
            attention_mask=torch.from_numpy(mask).to(device),
            use_cache=False,
            **more,
        )
    at = where_T[rows]
    return out, (torch.from_numpy(at[:, 0]).to(device), torch.from_numpy(at[:, 1]).to(device))


def _refuse_virtual_tokens(model: Any) -> None:
    """Prompt and prefix tuning: positions of the output would not be those of the input."""
    configs = getattr(model, "peft_config", None) or {}
    if any(getattr(config, "is_prompt_learning", False) for config in configs.values()):
        raise EnvironmentFault(
            "adapters that put virtual tokens before the text are not supported", fix="train a LoRA adapter"
        )


def log_probs(model: Any, packed: Packed, temperature: float = 1.0) -> Tensor:
    """Log-probability of every scored token, ``(N,)``, through the plain forward."""
    logps = torch.log_softmax(logits(model, packed).float() / temperature, dim=-1)
    label_U = torch.from_numpy(packed.label_U).to(logps.device)
    unique_N = torch.from_numpy(packed.unique_N).to(logps.device)
    return logps.gather(1, label_U[:, None])[:, 0][unique_N]


def _leaf_rows(packed: Packed) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Stream positions of each root-to-leaf path, and (row, column) of every stream position."""
    parents = {s.ancestors[-1] for s in packed.segments if s.ancestors}
    where_T = np.zeros((len(packed.input_ids_T), 2), dtype=np.int64)
    rows: list[np.ndarray[Any, Any]] = []
    for index, segment in enumerate(packed.segments):
        if index in parents:
            continue
        path = [packed.segments[a] for a in segment.ancestors] + [segment]
        row = np.concatenate([np.arange(s.start, s.start + s.length) for s in path])
        where_T[row, 0] = len(rows)
        where_T[row, 1] = np.arange(len(row))
        rows.append(row)
    return rows, where_T
