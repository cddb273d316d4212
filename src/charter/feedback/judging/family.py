"""Families of models: relatives may favour each other's answers."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KNOWN: Mapping[str, tuple[str, ...]] = {
    "smollm": ("smollm",),
    "llama": ("llama", "codellama", "vicuna", "alpaca", "tulu"),
    "qwen": ("qwen", "qwq"),
    "mistral": ("mistral", "mixtral", "ministral", "zephyr"),
    "gemini": ("gemini", "gemma"),
    "phi": ("phi",),
    "gpt": ("gpt", "chatgpt", "o1", "o3", "o4"),
    "claude": ("claude",),
    "deepseek": ("deepseek",),
    "grok": ("grok",),
    "command": ("command", "aya"),
    "olmo": ("olmo",),
    "granite": ("granite",),
    "glm": ("glm", "chatglm"),
    "yi": ("yi",),
    "kimi": ("kimi", "moonshot"),
}
UNKNOWN = frozenset({"", "dataset", "policy", "reference", "given", "ema", "scripted", "environment"})
"""What ``sampled_by`` says where it names no model."""


def family_of(name: str) -> str:
    """The family a model's name tells; else its first part (``acme-7b``: acme); "" = it tells nothing.

    The words of the name decide, earlier ones first, so that ``deepseek-r1-distill-llama`` is a deepseek;
    then those of the organisation before it (``meta-llama/guard``). Where the model is, or its digest
    (``MODEL@host/v1``), says nothing.
    """
    bare = name.strip().casefold()
    if bare in UNKNOWN or bare.startswith("mixture:"):
        return ""
    bare = re.sub(r"(?<=.)@[^@]*$", "", bare)
    parts = [part for part in bare.split("/") if part]
    for part in reversed(parts):
        for word in re.findall(r"[a-z]+[0-9]?", part):
            for family, names in _KNOWN.items():
                if word in names or word.rstrip("0123456789") in names or _begins(word, names):
                    return family
    first = re.match(r"[^\W_]+", parts[-1]) if parts else None
    return first[0] if first else bare


def _begins(word: str, names: tuple[str, ...]) -> bool:
    return any(len(name) >= 4 and word.startswith(name) for name in names)
