"""Alignment by examples: URIAL (2312.01552), a preamble and a few constant answers before every question.

As published the model reads one plain text in which questions and answers stand in fences, so that a base
model can go on writing it::

    # Instruction

    <preamble>

    # Query:
    ```
    <question>
    ```

    # Answer:
    ```
    <answer>
    ```

with the question at the end, and an answer that is left open. A chat model may be given the same words as
turns of its own template instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from charter.data.render import Template
from charter.engines.base import Engine
from charter.engines.demonstrations import Demonstration
from charter.engines.prompted import ReframedEngine, rendered, words_of
from charter.errors import UserError
from charter.types import Content, Context, Message

Style = Literal["restyled", "plain"]
"""``restyled``: answers in the voice of an assistant; ``plain``: their bare content. The paper's contrast."""

Layout = Literal["text", "turns"]
"""``text``: the published one, for any model; ``turns``: the model's own chat template."""

STOP = ("```", "# Query")
"""What ends an answer in the text layout: its fence, or the next question where the model forgot the fence.

An answer that would hold a fenced block of code ends there too, as it does in the published method.
"""

MOST_EXAMPLES = 32
"""More constant examples than this are taken for a mistake: a whole data set given as a prompt."""


@dataclass(frozen=True, slots=True)
class InContextPrompt:
    """What stands before every question.

    Attributes:
        preamble: what the model is told; "" = nothing.
        examples: answered questions, in order.

    Raises:
        UserError: nothing at all, or too many examples.
    """

    preamble: str
    examples: tuple[Demonstration, ...]

    def __post_init__(self) -> None:
        if not self.preamble.strip() and not self.examples:
            raise UserError("an in-context prompt needs a preamble or an example")
        if len(self.examples) > MOST_EXAMPLES:
            raise UserError(
                f"{len(self.examples)} examples before every question are too many (at most {MOST_EXAMPLES})",
                fix="keep a few, or let icdpo choose those that are like the question",
            )


def urial_prompt(style: Style = "restyled", k: int | None = None) -> InContextPrompt:
    """The shipped preamble and its first ``k`` examples (None = all three; the last declines a request).

    Raises:
        UserError: more examples than there are.
    """
    data = _shipped()
    examples = data["examples"]
    if k is not None and not 0 <= k <= len(examples):
        raise UserError(f"there are {len(examples)} examples, not {k}", where="k")
    made = tuple(Demonstration((Message("user", one["query"]),), one[style].strip()) for one in examples[:k])
    return InContextPrompt(data["preamble"].strip(), made)


@cache
def _shipped() -> Any:
    text = (resources.files("charter.engines") / "urial.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


# -- layouts -----------------------------------------------------------------------------


def as_text(preamble: str, examples: Sequence[Demonstration], content: Content) -> str:
    """The published layout, one blank line between its blocks.

    A system turn of the context is part of the instruction; earlier turns stand in the same markup.

    Args:
        preamble: what the model is told; "" = nothing.
        examples: answered questions, in order.
        content: the context.

    Raises:
        UserError: turns of tools, or a conversation that does not end with a question.
    """
    system, turns = _split(content)
    told = "\n\n".join(part for part in (preamble.strip(), system) if part)
    blocks = [f"# Instruction\n\n{told}"] if told else []
    for example in examples:
        blocks += [_fenced(turn) for turn in (*example.turns, Message("assistant", example.answer))]
    blocks += [_fenced(turn) for turn in turns]
    return "\n\n".join(blocks) + "\n\n# Answer:\n```\n"


def _fenced(turn: Message) -> str:
    return f"# {'Query' if turn.role == 'user' else 'Answer'}:\n```\n{turn.content.strip()}\n```"


def as_turns(preamble: str, examples: Sequence[Demonstration], content: Content) -> tuple[Message, ...]:
    """The same as a conversation: the preamble is the system turn, the examples come before the context.

    Raises:
        UserError: see :func:`as_text`.
    """
    system, turns = _split(content)
    told = "\n\n".join(part for part in (preamble.strip(), system) if part)
    found = [Message("system", told)] if told else []
    for example in examples:
        found += [*example.turns, Message("assistant", example.answer)]
    return (*found, *turns)


def _split(content: Content) -> tuple[str, tuple[Message, ...]]:
    """The words of the system turn, and the other turns."""
    if isinstance(content, str):
        return "", (Message("user", content),)
    system = content[0].content.strip() if content[0].role == "system" else ""
    turns = content[1:] if content[0].role == "system" else content
    if any(turn.role == "tool" for turn in turns):
        raise UserError("turns of tools cannot be written after examples", fix="leave out such prompts")
    if not turns or turns[-1].role != "user":
        raise UserError(
            "examples can only stand before a question", fix="end the conversation with a user turn"
        )
    return system, turns


# -- the engine --------------------------------------------------------------------------


class InContext:
    """Puts a preamble and examples before a context: a :data:`~charter.engines.prompted.Reframe`.

    Args:
        template: of the model that is asked.
        prompt: what stands before.
        layout: see :data:`Layout`.
    """

    def __init__(self, template: Template, prompt: InContextPrompt, layout: Layout = "text") -> None:
        self._template = template
        self._layout = layout
        self.prompt = prompt

    def __call__(self, context: Context) -> Context:
        """The context after the examples."""
        write = as_text if self._layout == "text" else as_turns
        content = write(self.prompt.preamble, self.prompt.examples, words_of(context))
        return rendered(content, self._template)


class InContextEngine(ReframedEngine):
    """A model after constant examples; in the text layout its answers come back in the context's own markup.

    Args:
        engine: the model, base or chat.
        template: of its tokenizer.
        prompt: None = :func:`urial_prompt`.
        layout: see :data:`Layout`.
        label: what ``sampled_by`` says.
    """

    def __init__(
        self,
        engine: Engine,
        template: Template,
        prompt: InContextPrompt | None = None,
        *,
        layout: Layout = "text",
        label: str = "urial",
    ) -> None:
        in_text = layout == "text"
        super().__init__(
            engine,
            InContext(template, prompt or urial_prompt(), layout),
            label=label,
            stop=STOP if in_text else (),
            answers=template if in_text else None,
        )
