"""An engine behind an endpoint: a model that can be asked for words, and for nothing else.

Completions have text and no token ids or log-probabilities, so they can be judged and compared, and not be
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from charter.engines.base import Mixture, OnProgress, Sampling
from charter.engines.endings import StopTexts
from charter.errors import ServiceFault, UserError
from charter.progress import say
from charter.rundir import sha256_json
from charter.types import Completion, Content, Context, FinishReason, Group, Message, Sample

_GIVEN_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class ChatCall:
    """One answer that is wanted.

    Attributes:
        content: turns to be answered, or plain text to be continued.
        sampling: how tokens are chosen.
        index: number of this answer among those to the same content.
        prompt_sha: of the template ``content`` was made with; "" = none.
    """

    content: Content
    sampling: Sampling
    index: int = 0
    prompt_sha: str = ""

    @cached_property
    def sha(self) -> str:
        """Identity of everything the model reads; for turns the same as a judge's question."""
        if isinstance(self.content, str):
            return sha256_json(self.content)
        return sha256_json([[turn.role, turn.content] for turn in self.content])


class Answered(Protocol):
    """What came back."""

    @property
    def text(self) -> str:
        """What was said."""
        ...

    @property
    def error(self) -> str:
        """Why there is no answer; "" = there is one."""
        ...

    @property
    def finish_reason(self) -> FinishReason:
        """``length``: cut by the limit."""
        ...


class ChatService(Protocol):
    """Answers calls; what was answered is kept, whatever happens to the rest."""

    @property
    def name(self) -> str:
        """Names the model and where it is."""
        ...

    def chat(self, calls: Sequence[ChatCall], on_progress: OnProgress | None = None) -> Sequence[Answered]:
        """One answer to each call, in order.

        Raises:
            ServiceFault: the service does not work, or a limit on what it may cost is reached.
            Interrupted: the person asked to stop.
        """
        ...


class EndpointEngine:
    """Samples from a model behind an endpoint.

    Turns are sent as a chat; plain text is continued, which few services still do.

    Args:
        service: who is asked.
        plain: what is done with a plain-text context: ``continue`` it, or send it as a ``user`` turn.
        missing: an answer that cannot be had (blocked by the service's filter, context too long): ``raise``,
            or ``drop`` it; a group may then have fewer than n samples, and the number is shown.
        name: ``sampled_by`` of the completions; "" = the service's name.
    """

    def __init__(
        self, service: ChatService, *, plain: str = "continue", missing: str = "raise", name: str = ""
    ) -> None:
        if plain not in ("continue", "user"):
            raise UserError(f"plain must be continue or user, not {plain!r}")
        if missing not in ("raise", "drop"):
            raise UserError(f"missing must be raise or drop, not {missing!r}")
        self.service = service
        self.name = name or service.name
        self._plain = plain
        self._drop = missing == "drop"
        self.dropped = 0
        """Answers left out so far."""

    def load_weights(self, policy: Any, version: int, name: str = "policy") -> None:
        """Refused.

        Raises:
            UserError: always; nobody here can change the weights behind an endpoint.
        """
        raise UserError(
            f"the weights of {self.name} are behind an endpoint and cannot be set, so it cannot be trained",
            fix="train a local model; an endpoint can answer, judge and be measured",
        )

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str | Mixture = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """See :meth:`charter.engines.base.Engine.generate`; contexts need content, not token ids.

        Raises:
            UserError: what an endpoint cannot do: a mixture, a reference, an empty context, tool turns.
            ServiceFault: the service does not work, or some answers cannot be had; see ``missing``.
        """
        self._check(n, sampling, policy)
        sent = [self._content(index, context) for index, context in enumerate(contexts)]
        calls = [ChatCall(content, sampling, index) for content in sent for index in range(n)]
        answers = self.service.chat(calls, on_progress) if calls else ()
        self._count_missing(answers)
        stops = StopTexts(None, sampling.stop)
        groups = []
        for index, context in enumerate(contexts):
            mine = answers[index * n : (index + 1) * n]
            samples = [Sample(context, self._completion(context, a, stops)) for a in mine if not a.error]
            groups.append(Group(tuple(samples)))
        return groups

    def _check(self, n: int, sampling: Sampling, policy: str | Mixture) -> None:
        if isinstance(policy, Mixture):
            raise UserError(
                "an endpoint gives no distribution over tokens, so it cannot be mixed",
                fix="use a local engine",
            )
        if policy not in ("policy", self.name):
            raise UserError(f"{self.name} is one model and has no {policy!r}", fix="make an engine for each")
        if n < 1:
            raise UserError(f"n must be at least 1, not {n}")
        if n > 1 and sampling.greedy:
            raise UserError(
                f"{n} completions at temperature 0 would all be meant to be the same",
                where="temperature",
                fix="sample one completion, or raise the temperature",
            )

    def _content(self, index: int, context: Context) -> Content:
        """What is sent for a context."""
        where, content = f"context {index + 1}", context.content
        if not content:
            raise UserError(
                "an endpoint needs the words of a context, and it has none",
                where=where,
                fix="give prompts as text or turns, not as token ids alone",
            )
        if isinstance(content, str):
            return (Message("user", content),) if self._plain == "user" else content
        if any(turn.role not in _GIVEN_ROLES for turn in content):
            raise UserError("tool turns cannot be sent to an endpoint", where=where, fix="use a local engine")
        if content[-1].role != "user":
            raise UserError(
                f"an endpoint answers the user's turn, and the last one is the {content[-1].role}'s",
                where=where,
                fix="end the prompt with a user turn",
            )
        return content

    def _count_missing(self, answers: Sequence[Answered]) -> None:
        errors = [answer.error for answer in answers if answer.error]
        if not errors:
            return
        what = f"{len(errors)} of {len(answers)} answers of {self.name} cannot be had; the first: {errors[0]}"
        if not self._drop:
            raise ServiceFault(
                what, fix="run again (what was answered is kept), or leave those out with missing='drop'"
            )
        self.dropped += len(errors)
        say(f"{what}. They are left out.")

    def _completion(self, context: Context, answer: Answered, stops: StopTexts) -> Completion:
        text, stopped = stops.cut(answer.text)
        return replace(
            Completion(text if isinstance(context.content, str) else (Message("assistant", text),)),
            finish_reason="stop" if stopped else answer.finish_reason,
            sampled_by=self.name,
        )
