"""An engine that answers from a script: for tests, demonstrations and dry runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from charter.data.render import end_of_turn_ids
from charter.engines.base import Mixture, OnProgress, Sampling, check_request
from charter.engines.endings import StopTexts, completion
from charter.errors import ServiceFault, UserError, did_you_mean
from charter.types import Completion, Context, Group, Message, Sample

Answers = Mapping[str, Sequence[str]] | Callable[[str, int], str]
"""Answers by the context's text (of its last turn), or a function of that text and the sample's number."""


class ScriptedEngine:
    """Gives scripted answers, always the same ones.

    Sample ``i`` of a context gets the script's answer ``i``, from the beginning
    again when there are fewer. Answers are cut at ``max_completion_length``
    tokens and at stop texts, as a model's would be. Without a tokenizer
    completions are text only.

    Args:
        answers: see :data:`Answers`.
        tokenizer: gives completions token ids; log-probabilities stay empty, as nothing was sampled.
        fail_after: calls that succeed before every further one fails; None = none fails.
        name: ``sampled_by`` of the completions for ``policy``.
    """

    def __init__(
        self,
        answers: Answers,
        tokenizer: Any = None,
        *,
        fail_after: int | None = None,
        name: str = "scripted",
    ) -> None:
        self._answers = answers
        self._tokenizer = tokenizer
        self._fail_after = fail_after
        self._version = 0
        self.name = name
        self.calls = 0

    def load_weights(self, policy: Any, version: int, name: str = "policy") -> None:
        """Remember ``version``; a script has no weights, and writes the same whoever is asked."""
        self._version = version

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str | Mixture = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """See :meth:`charter.engines.base.Engine.generate`; contexts without token ids need content.

        Raises:
            ServiceFault: the scripted fault.
            UserError: the script has no answer for a context, or a mixture is asked for.
        """
        if isinstance(policy, Mixture):
            raise UserError("a script is no distribution, so it cannot be mixed", fix="use a local engine")
        if self._fail_after is not None and self.calls >= self._fail_after:
            raise ServiceFault(f"the scripted engine fails after {self._fail_after} calls, as it was told to")
        self.calls += 1
        check_request(contexts if self._tokenizer is not None else (), n, sampling)
        sampled_by = self.name if policy in ("policy", self.name) else policy
        groups = []
        for index, context in enumerate(contexts):
            texts = [self._answer(context.text, sample, index) for sample in range(n)]
            completions = [self._completion(context, text, sampling, sampled_by) for text in texts]
            groups.append(Group(tuple(Sample(context, c) for c in completions)))
            if on_progress is not None:
                on_progress(n)
        return groups

    def _answer(self, text: str, sample: int, index: int) -> str:
        if callable(self._answers):
            return self._answers(text, sample)
        answers = self._answers.get(text)
        if not answers:
            raise UserError(
                f"the script has no answer to {text!r}; {did_you_mean(text, self._answers)}",
                where=f"context {index + 1}",
            )
        return answers[sample % len(answers)]

    def _completion(self, context: Context, text: str, sampling: Sampling, sampled_by: str) -> Completion:
        if self._tokenizer is None:
            return self._text_only(context, text, sampling, sampled_by)
        stops = StopTexts(self._tokenizer, sampling.stop)
        ids = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        limit = sampling.max_completion_length
        for count in range(1, len(ids) + 1 if stops else 0):
            if stops.ends(ids[:count]):
                ids, ended = ids[:count], True
                break
        else:
            ids, ended = [*ids, *end_of_turn_ids(self._tokenizer)[:1]], True
        if len(ids) > limit:
            ids, ended = ids[:limit], False
        return completion(
            context,
            ids,
            (),
            "stop" if ended else "length",
            stops,
            sampled_by=sampled_by,
            weight_version=self._version,
        )

    def _text_only(self, context: Context, text: str, sampling: Sampling, sampled_by: str) -> Completion:
        text, _ = StopTexts(None, sampling.stop).cut(text)
        return Completion(
            content=text if isinstance(context.content, str) else (Message("assistant", text),),
            finish_reason="stop",
            sampled_by=sampled_by,
            weight_version=self._version,
        )
