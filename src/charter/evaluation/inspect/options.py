"""Inspect's generation options as Charter's; what would be lost in silence is refused."""

from __future__ import annotations

import logging
from typing import Any

from charter.config import validate
from charter.engines.base import Sampling
from charter.errors import ConfigError
from charter.evaluation.inspect.library import GenerateConfig

MAX_TOKENS = 2048
"""Of an answer, where neither task nor person says: as Inspect does for other local models."""

_READ = frozenset(
    {"max_tokens", "temperature", "top_p", "top_k", "stop_seqs", "seed", "num_choices", "logprobs"}
)
_DONE_BY_INSPECT = frozenset(
    {
        "max_retries",
        "timeout",
        "attempt_timeout",
        "stream_idle_timeout",
        "max_connections",
        "adaptive_connections",
        "system_message",
        "max_tool_output",
        "cache",
    }
)
_REFUSED = frozenset(
    {
        "best_of",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "top_logprobs",
        "prompt_logprobs",
        "response_schema",
        "modalities",
        "extra_body",
    }
)
_NOTHING: dict[str, tuple[Any, ...]] = {"best_of": (1,), "modalities": (["text"],)}
"""Values of refused options that ask for nothing, beside 0 and empty ones."""

_log = logging.getLogger(__name__)
_warned: set[str] = set()


def sampling_of(config: GenerateConfig, seed: int) -> tuple[Sampling, int]:
    """How tokens are chosen, and how many answers are wanted.

    Args:
        config: what Inspect asks for.
        seed: where it names none.

    Raises:
        ConfigError: an option that would change the answers and is not known here, or a value out of range.
    """
    asked = {
        name: value for name in type(config).model_fields if (value := getattr(config, name)) is not None
    }
    for name in sorted(asked.keys() & _REFUSED):
        if asked[name] and asked[name] not in _NOTHING.get(name, ()):
            raise ConfigError(
                f"Charter's models do not know {name!r}", where="generate config", fix="leave it out"
            )
    for name in sorted(asked.keys() - _READ - _REFUSED - _DONE_BY_INSPECT):
        if name not in _warned:
            _warned.add(name)
            _log.warning("charter: the option %r has no effect on a model in this process", name)
    values = {
        "temperature": float(asked.get("temperature", 1.0)),
        "top_p": float(asked.get("top_p", 1.0)),
        "top_k": asked.get("top_k", 0),
        "max_completion_length": asked.get("max_tokens", MAX_TOKENS),
        "stop": list(asked.get("stop_seqs", ())),
        "seed": asked.get("seed", seed),
    }
    return validate(Sampling, values, where="generate config"), int(asked.get("num_choices", 1))
