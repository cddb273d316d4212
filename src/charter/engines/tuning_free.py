"""Alignment without training, by name: what a person may put around a model where it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from charter.constitution import Constitution
from charter.data.teacher_context import context_text
from charter.engines.base import Engine
from charter.engines.demonstrations import Demonstration, read_demonstrations
from charter.engines.icdpo import IcdpoEngine
from charter.engines.in_context import InContext, InContextEngine, InContextPrompt, Layout, urial_prompt
from charter.engines.prompted import PromptedEngine, Reframe, SystemPrompt
from charter.errors import ConfigError, did_you_mean
from charter.models.policy import Policy
from charter.types import Context, Group

Method = Literal["urial", "urial-plain", "urial-chat", "icdpo"]
"""``urial``: restyled examples in the published text; ``urial-plain``: their bare content; ``urial-chat``:
the restyled ones as turns of the model's template; ``icdpo``: the best of several after like examples."""

METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class TuningFree:
    """What is put around a model.

    Attributes:
        method: examples before the question; None = none.
        demonstrations: in place of URIAL's own examples; what ICDPO chooses from.
        system_prompt: before everything; "" = none.
    """

    method: Method | None = None
    demonstrations: tuple[Demonstration, ...] = ()
    system_prompt: str = ""

    @classmethod
    def named(
        cls,
        method: str | None = None,
        demonstrations: Any = None,
        system_prompt: Constitution | Path | str | None = None,
    ) -> TuningFree | None:
        """From what a person wrote, checked before a model loads; None where nothing was asked for.

        Args:
            method: a name of :data:`Method`.
            demonstrations: a data set, see :func:`~charter.engines.demonstrations.read_demonstrations`.
            system_prompt: a constitution, a file (``.txt``, ``.md``, ``.constitution.md``), or the words.

        Raises:
            ConfigError: an unknown name, or demonstrations that nothing uses or that are missing.
            DataError: the demonstrations cannot be read.
        """
        if method is None and system_prompt is None:
            if demonstrations is not None:
                raise ConfigError(
                    "demonstrations do nothing by themselves",
                    where="demonstrations",
                    fix="add in_context urial or icdpo",
                )
            return None
        known: Method | None = next((one for one in METHODS if one == method), None)
        if method is not None and known is None:
            raise ConfigError(f"no method {method!r}", where="in_context", fix=did_you_mean(method, METHODS))
        if method == "icdpo" and demonstrations is None:
            raise ConfigError(
                "icdpo chooses among demonstrations, and there are none",
                where="in_context",
                fix="give demonstrations: a file of preference pairs, or of questions with answers",
            )
        found = cls(known, _demonstrations(method, demonstrations), _words(system_prompt))
        if found.demonstrations and method != "icdpo":
            found._prompt()  # too many of them is said before a model loads
        return found

    @property
    def label(self) -> str:
        """In a word, for people."""
        return "+".join(
            part for part in ("system prompt" if self.system_prompt else "", self.method or "") if part
        )

    @property
    def layout(self) -> Layout | None:
        """Of the examples; None = as the model has it, or no examples."""
        return {"urial": "text", "urial-plain": "text", "urial-chat": "turns"}.get(self.method or "")  # type: ignore[return-value]

    def around(self, engine: Engine, policy: Policy) -> Engine:
        """The engine to ask in place of ``engine``.

        Args:
            engine: samples from ``policy``.
            policy: gives the template, and scores for ICDPO.
        """
        asked = engine
        if self.method == "icdpo":
            asked = IcdpoEngine(asked, policy, self.demonstrations)
        elif self.method is not None:
            layout = self.layout or "text"
            asked = InContextEngine(asked, policy.template, self._prompt(), layout=layout, label=self.method)
        if self.system_prompt:  # outermost, so that it stands before the examples
            asked = PromptedEngine(asked, policy.template, self.system_prompt)
        return asked

    def reframe(self, policy: Policy) -> Reframe:
        """The same as a change of contexts alone: what the model sees in place of a context.

        Raises:
            ConfigError: icdpo, which chooses among answers.
        """
        if self.method == "icdpo":
            raise ConfigError(
                "icdpo chooses among answers: it is no context to read them in",
                where="in_context",
                fix="use urial, urial-plain or urial-chat",
            )
        frames: list[Reframe] = []
        if self.system_prompt:
            frames.append(SystemPrompt(policy.template, self.system_prompt))
        if self.method is not None:
            frames.append(InContext(policy.template, self._prompt(), self.layout or "text"))

        def framed(context: Context) -> Context:
            for frame in frames:
                context = frame(context)
            return context

        return framed

    def asks_unrendered(self, policy: Policy, prompts: Sequence[Group]) -> bool:
        """Whether these prompts are conversations that only the text layout can put to this model.

        A model without a chat template cannot be asked them plainly, so there is nothing to compare with.
        """
        in_text = self.method in ("urial", "urial-plain", "icdpo")
        turns = any(not isinstance(group.samples[0].context.content, str) for group in prompts)
        return turns and in_text and not policy.tokenizer.chat_template

    def _prompt(self) -> InContextPrompt:
        own = urial_prompt("plain" if self.method == "urial-plain" else "restyled")
        return InContextPrompt(own.preamble, self.demonstrations) if self.demonstrations else own


def _demonstrations(method: str | None, given: Any) -> tuple[Demonstration, ...]:
    if given is None:
        return ()
    if method is None:
        raise ConfigError(
            "demonstrations do nothing beside a system prompt alone",
            where="demonstrations",
            fix="add in_context urial or icdpo",
        )
    if isinstance(given, (list, tuple)) and given and all(isinstance(one, Demonstration) for one in given):
        return tuple(given)
    return read_demonstrations(given)


def _words(given: Constitution | Path | str | None) -> str:
    if given is None:
        return ""
    if isinstance(given, Constitution):
        return given.system_prompt()
    return context_text(str(given), name="system_prompt")
