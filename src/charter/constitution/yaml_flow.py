"""Values as one line of YAML that is read back as the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# What YAML refuses or takes for a line break, though JSON allows it in a text.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_WORD = re.compile(r"[a-z_]{3,}")
_RESERVED = frozenset({"true", "false", "null", "yes", "off"})


def flow(value: Any) -> str:
    """``value`` in flow style: texts quoted, numbers in the form that YAML 1.1 takes for numbers."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str):
        return value if _is_word(value) else quoted(value)
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value)


def quoted(text: str) -> str:
    """``text`` in double quotes, on one line."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _key(key: Any) -> str:
    return key if isinstance(key, str) and _is_word(key) else flow(key)


def _is_word(text: str) -> bool:
    """May it stand without quotes?"""
    return _WORD.fullmatch(text) is not None and text not in _RESERVED


def _number(value: float) -> str:
    """YAML 1.1 wants a point in a number with an exponent."""
    mantissa, e, exponent = repr(value).partition("e")
    return mantissa + (".0" if "." not in mantissa else "") + e + exponent if e else mantissa
