"""Read what a safetensors file declares, and compare it with the file's size.

Layout (https://github.com/huggingface/safetensors#format): eight bytes little-endian
length N, N bytes of JSON, then the tensors back to back.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from charter.errors import UserError

Tensors = dict[str, tuple[int, ...]]
"""Shape of each tensor, by name."""

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
}


def read_header(path: Path) -> Tensors:
    """Shapes of the tensors in ``path``; the header and the file's size are checked, no tensor is read.

    Raises:
        UserError: truncated, or a header that does not describe this file.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_MAX_HEADER_BYTES, size - 8):
            raise _broken(path, f"its header claims {length} bytes, the file has {size}")
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise _broken(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _broken(path, "its header is not a JSON object")
    header.pop("__metadata__", None)
    tensors: Tensors = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        shape, start, end = _entry(path, name, entry)
        tensors[name] = shape
        spans.append((start, end, name))
    _check_spans(path, sorted(spans), size - 8 - length)
    return tensors


def _entry(path: Path, name: str, entry: Any) -> tuple[tuple[int, ...], int, int]:
    try:
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        numbers = [*shape, start, end]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError
    except (TypeError, KeyError, ValueError):
        raise _broken(path, f"the header entry of {name} is malformed") from None
    bits = _BITS.get(dtype)
    if bits is None:
        raise _broken(path, f"{name} has the unknown type {dtype!r}")
    if (end - start) * 8 != math.prod(shape) * bits:
        raise _broken(
            path, f"{name} is {list(shape)} of {dtype} but {end - start} bytes are set aside for it"
        )
    return shape, start, end


def _check_spans(path: Path, spans: list[tuple[int, int, str]], available: int) -> None:
    position = 0
    for start, end, name in spans:
        if start != position:
            raise _broken(path, f"{name} starts at byte {start}, not {position}, of the data")
        position = end
    if position > available:
        first = next(name for _, end, name in spans if end > available)
        raise UserError(
            f"truncated: {available} of {position} bytes of tensors, cut in {first}",
            where=str(path),
            fix="the download or the copy is incomplete: do it again",
        )
    if position < available:
        raise _broken(path, f"{available - position} bytes follow the last tensor")


def _broken(path: Path, why: str) -> UserError:
    return UserError(
        f"not a whole safetensors file: {why}", where=str(path), fix="download or export it again"
    )
