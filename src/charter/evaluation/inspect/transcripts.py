"""What was said in one Inspect sample, as a Charter sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from charter.evaluation.inspect.library import ChatMessage, ModelOutput
from charter.evaluation.inspect.messages import message_of, messages_of
from charter.types import Completion, Context, FinishReason, Message, Sample

FINISH: dict[str, FinishReason] = {"stop": "stop", "max_tokens": "length", "model_length": "length"}
"""Inspect's stop reasons as ours; of the others nothing is known."""

CHANGED = "prompts that the task's solver changed, read as the model saw them"
OTHER_OUTPUT = "outputs that are not the last message, added as the last turn"


def sample_of(
    input: str | Sequence[ChatMessage],
    messages: Sequence[ChatMessage],
    output: ModelOutput,
    *,
    sampled_by: str,
    weight_version: int = 0,
    notes: Counter[str] | None = None,
) -> Sample | None:
    """The conversation as context, all that came after it as completion; None = no answer came.

    Args:
        input: of the sample.
        messages: its whole conversation.
        output: what the model said last, which is what scorers read.
        sampled_by: name of the model.
        weight_version: of the model.
        notes: counts what was read in another form.
    """
    notes = Counter() if notes is None else notes
    start = _answer_at(input, messages)
    before = messages_of(messages[:start], notes) if messages else _asked(input, notes)
    if before != _asked(input):
        notes[CHANGED] += 1
    after = list(messages_of(messages[start:], notes))
    said = "" if output.empty else message_of(output.message).content
    if not said and output.error:
        return None  # an error and no text: an empty answer is one that the model gave
    if said and (not after or after[-1] != Message("assistant", said)):
        # Of two assistant's turns in a row the last is what was scored.
        notes[OTHER_OUTPUT] += 1 if after else 0
        after.append(Message("assistant", said))
    if not any(turn.role == "assistant" for turn in after):
        return None
    reason = FINISH.get("" if output.empty else output.stop_reason, "given")
    return Sample(
        Context(before),
        Completion(tuple(after), finish_reason=reason, sampled_by=sampled_by, weight_version=weight_version),
    )


def _asked(input: str | Sequence[ChatMessage], notes: Counter[str] | None = None) -> tuple[Message, ...]:
    return (Message("user", input),) if isinstance(input, str) else messages_of(input, notes)


def _answer_at(input: str | Sequence[ChatMessage], messages: Sequence[ChatMessage]) -> int:
    """Where the first message stands that the model wrote."""
    for at, message in enumerate(messages):
        if message.role == "assistant" and message.source == "generate":
            return at
    return min(len(_asked(input)), len(messages))
