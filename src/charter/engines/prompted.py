"""A model that is asked in other words than it is measured on: under a system prompt, or after examples.

Evaluation must compare like with like. So what was put around the question is known to the model alone: the
answers come back under the contexts the engine was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from charter.data.render import Template, end_of_turn_ids
from charter.data.teacher_context import put_before
from charter.engines.base import Engine, Mixture, OnProgress, Sampling
from charter.errors import UserError
from charter.types import Completion, Content, Context, Group, Message, Sample

Reframe = Callable[[Context], Context]
"""A context as it was given, as the context the model is to see, rendered."""


class ReframedEngine:
    """An engine that asks another one about other contexts than it was asked about.

    Completions say ``label:who`` in ``sampled_by``. They keep the tokens and log-probs that were sampled,
    which are those of the model *in its own context*: an importance ratio may use them, a likelihood under
    the context they come back with has to be computed anew.

    Args:
        engine: who samples.
        reframe: see :data:`Reframe`.
        label: what is done to contexts, in a word.
        stop: texts that end an answer in the other markup, beside those of the request.
        answers: where the two markups differ: the template by which answers are written under the contexts
            they were asked for. Sampled tokens and log-probs are given up then.
    """

    def __init__(
        self,
        engine: Engine,
        reframe: Reframe,
        *,
        label: str,
        stop: Sequence[str] = (),
        answers: Template | None = None,
    ) -> None:
        self._engine = engine
        self._stop = tuple(stop)
        self._answers = answers
        self.reframe = reframe
        self.label = label

    def load_weights(self, policy: Any, version: int, name: str = "policy") -> None:
        """See :meth:`charter.engines.base.Engine.load_weights`."""
        self._engine.load_weights(policy, version, name)

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str | Mixture = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """See :meth:`charter.engines.base.Engine.generate`; contexts need content, token ids they need not.

        Raises:
            UserError: also where a context has no words to put anything around.
        """
        asked = [self.reframe(context) for context in contexts]
        found = self._engine.generate(asked, n, with_stops(sampling, self._stop), policy, on_progress)
        return [
            replace(group, samples=tuple(self._returned(sample, context) for sample in group.samples))
            for context, group in zip(contexts, found, strict=True)
        ]

    def _returned(self, sample: Sample, context: Context) -> Sample:
        completion = sample.completion
        completion = replace(completion, sampled_by=f"{self.label}:{completion.sampled_by}")
        if self._answers is not None:
            completion = as_answer(completion, context, self._answers)
        return replace(sample, context=context, completion=completion)


class SystemPrompt:
    """Puts a system prompt before every context.

    It becomes the system turn, before the words of one that is there; before plain text it is a paragraph.

    Args:
        template: of the model that is asked.
        text: the prompt.

    Raises:
        UserError: it is empty.
    """

    def __init__(self, template: Template, text: str) -> None:
        if not text.strip():
            raise UserError("the system prompt is empty", fix="write one, or ask the model without it")
        self._template = template
        self.text = text.strip()

    def __call__(self, context: Context) -> Context:
        """The context under the prompt."""
        return rendered(put_before(self.text, words_of(context)), self._template)


class PromptedEngine(ReframedEngine):
    """A model under a system prompt, measured like any other.

    Args:
        engine: the model.
        template: of its tokenizer.
        text: a constitution's :meth:`~charter.constitution.Constitution.system_prompt`, or any text.
    """

    def __init__(self, engine: Engine, template: Template, text: str) -> None:
        super().__init__(engine, SystemPrompt(template, text), label="prompted")


# -- what the engines of this kind share -------------------------------------------------


def words_of(context: Context) -> Content:
    """What a context says.

    Raises:
        UserError: it has token ids only.
    """
    if not context.content:
        raise UserError(
            "a context of bare token ids cannot be asked in other words", fix="give the context its content"
        )
    return context.content


def rendered(content: Content, template: Template) -> Context:
    """A context with the ids its template gives it."""
    return Context(content, template.render_context(content))


def with_stops(sampling: Sampling, stop: Sequence[str]) -> Sampling:
    """The same request with more stop texts."""
    return sampling.model_copy(update={"stop": tuple(dict.fromkeys((*sampling.stop, *stop)))})


def as_answer(completion: Completion, context: Context, template: Template) -> Completion:
    """A completion as if it had been written under ``context``: its words in that context's markup.

    One that was cut by the length limit does not end its turn. Without token ids in ``context`` (a
    conversation of a model that has no chat template) only the words are kept.
    """
    text = completion.text.strip()
    content: Content = text if isinstance(context.content, str) else (Message("assistant", text),)
    words = replace(completion, content=content, token_ids=(), trained=(), logps=())
    if not context.token_ids:
        return words
    end = _end_of(context, template)
    ids = _ids_of(words, context, template) if text else end
    if completion.finish_reason == "length" and ids[-len(end) :] == end:
        ids = ids[: -len(end)]
    return replace(words, token_ids=ids, trained=(True,) * len(ids))


def _ids_of(words: Completion, context: Context, template: Template) -> tuple[int, ...]:
    bare = Context(context.content)
    return template.render(Group((Sample(bare, words),))).samples[0].completion.token_ids


def _end_of(context: Context, template: Template) -> tuple[int, ...]:
    """What ends an answer: the end of the turn in a conversation, else the end of the text."""
    if isinstance(context.content, str):
        return (template.tokenizer.eos_token_id,)
    return end_of_turn_ids(template.tokenizer)[:1]
