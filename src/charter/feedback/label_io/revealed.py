"""Whether an answer says which model wrote it: then a blind vote was not blind (2403.04132)."""

from __future__ import annotations

import re

_MAKERS: dict[str, tuple[str, ...]] = {
    "gpt": ("openai", "chatgpt"),
    "claude": ("anthropic",),
    "gemini": ("google",),
    "gemma": ("google",),
    "palm": ("google", "bard"),
    "bard": ("google",),
    "llama": ("meta ai",),
    "vicuna": ("lmsys",),
    "mistral": ("mistral ai",),
    "mixtral": ("mistral ai",),
    "qwen": ("alibaba", "tongyi"),
    "chatglm": ("zhipu",),
    "oasst": ("open assistant", "openassistant", "laion"),
    "deepseek": ("deepseek",),
    "grok": ("xai",),
    "command": ("cohere",),
}
_SHORTEST = 4


def names_of(model: str) -> tuple[str, ...]:
    """What would give ``model`` away: its name, the word its name begins with, and who made it."""
    name = model.strip().lower()
    family = re.match(r"[a-z]+", name)
    found = [name]
    if family is not None:
        word = family.group()
        # A short first word is no name of its own (fast, open, ...), unless its maker is known.
        if len(word) >= _SHORTEST and word not in ("command", "palm"):
            found.append(word)
        found += [made for start, makers in _MAKERS.items() if word.startswith(start) for made in makers]
    return tuple(dict.fromkeys(one for one in found if one))


def revealed(model: str, answer: str) -> str:
    """The word of ``answer`` that names ``model``; "" where none does."""
    text = answer.lower()
    for name in names_of(model):
        if re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", text):
            return name
    return ""
