"""Where a completion ends, and the text it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.data.render import end_of_turn_ids
from charter.types import Completion, Context, FinishReason, Message


def stop_ids_of(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Ids that end a completion: the template's end of turn, and what the model's generation config names."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = [configured] if isinstance(configured, int) else list(configured or ())
    return tuple(dict.fromkeys((*end_of_turn_ids(tokenizer), *ids)))


class StopTexts:
    """Finds stop texts in the tokens sampled so far.

    Args:
        tokenizer: decodes the tokens.
        texts: what ends a completion.
    """

    def __init__(self, tokenizer: Any, texts: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._texts = tuple(texts)
        # A token is at least one byte of text; a little more, as a character may span the edge.
        self._window = max((len(text.encode()) for text in texts), default=0) + 8

    def __bool__(self) -> bool:
        return bool(self._texts)

    def ends(self, ids: Sequence[int]) -> bool:
        """Whether a stop text has appeared with the last of ``ids``."""
        tail = self._tokenizer.decode(list(ids[-self._window :]), skip_special_tokens=True)
        if not any(text in tail for text in self._texts):
            return False
        return self.cut(self.decode(ids))[1]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def cut(self, text: str) -> tuple[str, bool]:
        """``text`` before the first stop text, and whether there was one."""
        found = [at for at in (text.find(stop) for stop in self._texts) if at >= 0]
        return (text[: min(found)], True) if found else (text, False)


def completion(
    context: Context,
    ids: Sequence[int],
    logps: Sequence[float],
    reason: FinishReason,
    stops: StopTexts,
    *,
    sampled_by: str,
    weight_version: int,
) -> Completion:
    """A sampled completion; turns where the context is turns, else plain text."""
    text, _ = stops.cut(stops.decode(ids))
    content = text if isinstance(context.content, str) else (Message("assistant", text),)
    return Completion(
        content=content,
        token_ids=tuple(ids),
        trained=(True,) * len(ids),
        logps=tuple(logps),
        finish_reason=reason,
        sampled_by=sampled_by,
        weight_version=weight_version,
    )
