"""A model in this process as a judge: log-probs through the one forward, replies from the decoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from charter.errors import DataError
from charter.feedback.judging.family import family_of
from charter.feedback.judging.model import Asking, Question, Reply
from charter.interrupt import graceful
from charter.progress import progress
from charter.types import Completion, Context, Group, Message, Sample

if TYPE_CHECKING:
    from charter.engines.base import Engine
    from charter.models.policy import Policy

_AT_ONCE = 64
"""Questions between two looks at whether the person asked to stop."""

_DIGEST = 8


class LocalJudge:
    """Asks a policy.

    Options are scored, not sampled: the options of a question are branches of one conversation, and
    questions that begin alike share what they begin with.

    Args:
        policy: who is asked, or what loads it when it is first asked.
        name: what the person called it; "" = the policy's name.
        family: "" = what the name tells.
        tokens: stream tokens scored at once; None = as :mod:`charter.feedback.forward` does.
        engine: samples replies from ``policy``; None = a local engine, made when replies are first wanted.
    """

    def __init__(
        self,
        policy: Policy | Callable[[], Policy],
        *,
        name: str = "",
        family: str = "",
        tokens: int | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._policy = policy
        self._called = name
        self._family = family
        self._tokens = tokens
        self._given_engine = engine

    @cached_property
    def policy(self) -> Policy:
        """Who is asked."""
        return self._policy() if callable(self._policy) else self._policy

    @cached_property
    def name(self) -> str:
        """See :class:`charter.feedback.judging.model.JudgeModel`; ends with a digest of the weights."""
        return f"{self._called or self.policy.name}@{self.policy.digest()[:_DIGEST]}"

    @property
    def family(self) -> str:
        """See :class:`charter.feedback.judging.model.JudgeModel`."""
        return self._family or family_of(self._called or self.policy.name)

    @property
    def max_length(self) -> int | None:
        """Most tokens of a question and its reply; None = no limit is known."""
        found = getattr(self.policy.model.config, "max_position_embeddings", None)
        return None if found is None else int(found)

    def option_logps(
        self, questions: Sequence[Question], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        """See :class:`charter.feedback.judging.model.OptionModel`.

        The end of the turn is part of an option, so that ``1`` does not stand for ``10``. Options of
        a question that is too long for the model are NaN.

        Raises:
            DataError: the model has no chat template, or the options of a question are not different.
        """
        groups = [self._branches(question, of) for question, of in zip(questions, options, strict=True)]
        found: list[tuple[float, ...]] = []
        with graceful() as stop, progress("judge", len(groups)) as advance:
            for start in range(0, len(groups), _AT_ONCE):
                stop.check("judging stopped")
                part = groups[start : start + _AT_ONCE]
                found += self._score(part)
                advance(len(part))
        return found

    def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
        """See :class:`charter.feedback.judging.model.JudgeModel`.

        A question that leaves no room for a reply is an error of that question.
        """
        from charter.engines.base import Sampling

        contexts = [
            Context(question.turns, self.policy.template.render_context(question.turns))
            for question in questions
        ]
        limit = self.max_length
        fits = [limit is None or len(one.token_ids) + asking.max_tokens <= limit for one in contexts]
        asked = [context for context, ok in zip(contexts, fits, strict=True) if ok]
        sampling = Sampling(
            temperature=asking.temperature, max_completion_length=asking.max_tokens, seed=asking.seed
        )
        answered: list[Group] = []
        with graceful() as stop, progress("judge", len(asked) * asking.n) as advance:
            for start in range(0, len(asked), _AT_ONCE):
                stop.check("judging stopped")
                answered += self._engine.generate(
                    asked[start : start + _AT_ONCE], asking.n, sampling, on_progress=advance
                )
        given = iter(answered)
        return [
            self._replies(next(given))
            if ok
            else [Reply(error=_too_long(len(context.token_ids), limit), model=self.name)] * asking.n
            for context, ok in zip(contexts, fits, strict=True)
        ]

    # -- inside -----------------------------------------------------------------

    @cached_property
    def _engine(self) -> Engine:
        if self._given_engine is not None:
            return self._given_engine
        from charter.engines.local import LocalEngine

        policy = self.policy
        return LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)

    def _branches(self, question: Question, options: Sequence[str]) -> Group:
        """One sample for each option, rendered."""
        if len(set(options)) < len(options) or not all(options):
            raise DataError(f"options must differ and not be empty: {list(options)}", where="judge")
        context = Context(question.turns)
        samples = tuple(Sample(context, Completion((Message("assistant", one),))) for one in options)
        rendered = self.policy.template.render(Group(samples))
        return replace(rendered, samples=tuple(_through_end(sample) for sample in rendered.samples))

    def _score(self, groups: Sequence[Group]) -> list[tuple[float, ...]]:
        from charter.feedback.forward import TOKENS, logps_of

        limit = self.max_length
        fits = [limit is None or _length(group) <= limit for group in groups]
        wanted = [group for group, ok in zip(groups, fits, strict=True) if ok]
        scored = iter(logps_of(self.policy, wanted, self._tokens or TOKENS))
        return [
            tuple(next(scored)) if ok else (math.nan,) * len(group.samples)
            for group, ok in zip(groups, fits, strict=True)
        ]

    def _replies(self, group: Group) -> list[Reply]:
        return [
            Reply(
                text=sample.completion.text,
                model=self.name,
                tokens_in=len(sample.context.token_ids),
                tokens_out=len(sample.completion.token_ids),
                finish_reason=sample.completion.finish_reason,
            )
            for sample in group.samples
        ]


def _through_end(sample: Sample) -> Sample:
    """The sample up to the token that ends the turn; what a template writes after it is no answer."""
    completion = sample.completion
    if not any(completion.trained):
        raise DataError("the judge's template marks no token of a reply", where="judge")
    last = len(completion.trained) - completion.trained[::-1].index(True)
    kept = replace(
        completion, token_ids=completion.token_ids[:last], trained=completion.trained[:last], logps=()
    )
    return replace(sample, completion=kept)


def _length(group: Group) -> int:
    return max(len(one.context.token_ids) + len(one.completion.token_ids) for one in group.samples)


def _too_long(length: int, limit: int | None) -> str:
    return f"the question has {length} tokens, and the model reads {limit}"
