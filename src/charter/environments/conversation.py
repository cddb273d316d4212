"""One rollout while it is played: the tokens so far, what was said, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from charter.data.render import Template
from charter.environments.base import (
    REWARD,
    Environment,
    Missing,
    Reward,
    State,
    Turn,
    Unfinished,
    added,
    opening_of,
)
from charter.environments.turn_markup import TurnMarkup
from charter.errors import Interrupted, UserError
from charter.types import Completion, Context, FinishReason, Group, Judgement, Message, Sample, SampleTarget

Ending = Unfinished | Literal["done", "error"]
"""``done``: as the environment said; ``error``: the environment failed."""

_ANSWERS = ("tool", "user", "system")


class Conversation:
    """A rollout in progress.

    Args:
        environment: answers.
        template: of the model that is sampled.
        markup: of the same template.
        prompt: the task.
        seed: of this rollout.
        max_turns: most turns of the model.
        max_tokens: most tokens after the opening; None = no limit.
        max_length: most tokens in all; None = no limit.

    Attributes:
        ending: None while it goes on.
        context: the opening.
    """

    def __init__(
        self,
        environment: Environment,
        template: Template,
        markup: TurnMarkup,
        prompt: Group,
        seed: int,
        *,
        max_turns: int,
        max_tokens: int | None,
        max_length: int | None,
    ) -> None:
        self._environment, self._template, self._markup = environment, template, markup
        self._max_turns, self._max_tokens, self._max_length = max_turns, max_tokens, max_length
        self.ending: Ending | None = None
        self._ids: list[int] = []
        self._trained: list[bool] = []
        self._logps: list[float] | None = []
        self._finish: FinishReason = "stop"
        self._version: int | None = None
        self._sampled_by = ""
        self._reward: Reward | None = None
        self._info: dict[str, Any] = {}
        self._failure = ""
        self._stable = True
        self._open = False
        self._state = State(markup.shown(opening_of(prompt)))
        try:
            self._state = _started(environment.start(prompt, seed))
            self._open = True
            self._state = _shown(self._state, markup)
            self.context = self._rendered(prompt)
        except Interrupted:
            raise
        except Exception as error:
            self._fail(error)
            self.close()
            # It still answers the prompt as it stands: a sample without tokens could not be scored.
            self._state = State(markup.shown(opening_of(prompt)))
            self.context = self._rendered(prompt)
        self._opening = len(self._state.messages)
        self._written = markup.opening(self._state.messages)

    # -- what the engine is asked -------------------------------------------

    @property
    def so_far(self) -> Context:
        """What the model is to continue: every token as it was sampled or rendered."""
        return Context(self._state.messages, (*self.context.token_ids, *self._ids))

    @property
    def budget(self) -> int | None:
        """Tokens that may still follow; None = no limit."""
        return None if self._max_tokens is None else self._max_tokens - len(self._ids)

    # -- a turn ---------------------------------------------------------------

    def take(self, made: Completion) -> None:
        """The model's turn, and the environment's answer to it.

        Raises:
            UserError: the engine gives no token ids.
        """
        text, ids = self._append_sampled(made)
        before = self._state
        self._state = replace(
            before, messages=(*before.messages, Message("assistant", text)), turns=before.turns + 1
        )
        if self._failure:
            self.ending = "error"
        elif self._finish == "length":
            self._stop("length")
        else:
            self._answer(before, text, ids)

    def _append_sampled(self, made: Completion) -> tuple[str, tuple[int, ...]]:
        if not made.token_ids:
            raise UserError(
                "the engine gives no token ids, and several turns cannot be put together from text",
                fix="sample with a local engine, or one that has a tokenizer",
            )
        budget = self.budget
        ids = made.token_ids[:budget]
        self._finish = made.finish_reason if len(ids) == len(made.token_ids) else "length"
        self._ids += ids
        self._trained += [True] * len(ids)
        if self._logps is not None:
            self._logps = [*self._logps, *made.logps[:budget]] if made.logps else None
        self._version = (
            made.weight_version if self._version is None else min(self._version, made.weight_version)
        )
        self._sampled_by = made.sampled_by
        return str(self._template.tokenizer.decode(list(ids), skip_special_tokens=True)), ids

    def _answer(self, before: State, text: str, sampled: tuple[int, ...]) -> None:
        """Ask the environment, and put its answer behind the model's turn."""
        try:
            turn = self._environment.step(before, text)
            new = self._accept(turn)
            if turn.done:
                self.ending = "done"
            elif self._state.turns >= self._max_turns:
                self._stop("max_turns")
            else:
                self._append_answer(new, sampled)
        except Interrupted:
            raise
        except Exception as error:
            self._fail(error)
            self.ending = "error"

    def _accept(self, turn: Turn) -> tuple[Message, ...]:
        if not isinstance(turn, Turn):
            raise TypeError(f"step returned {type(turn).__name__}, not a Turn")
        for message in turn.messages:
            if message.role not in _ANSWERS:
                raise ValueError(f"the environment spoke as {message.role}")
        if not turn.done and not turn.messages:
            raise ValueError("the environment neither answered nor ended the conversation")
        self._reward = added(self._reward, turn.reward)
        self._info |= {str(key): _plain(value) for key, value in turn.info.items()}
        self._state = replace(self._state, memory=turn.memory)
        return self._markup.shown(turn.messages)

    def _append_answer(self, new: tuple[Message, ...], sampled: tuple[int, ...]) -> None:
        closed = sampled[-1] == self._markup.end_id
        between = self._markup.between(self._state.messages, new, closed=closed)
        if not self._has_room(len(between.token_ids)):
            self._stop("length")
            return
        self._ids += between.token_ids
        self._trained += [False] * len(between.token_ids)
        if self._logps is not None:
            self._logps += [0.0] * len(between.token_ids)
        self._state = replace(self._state, messages=(*self._state.messages, *new))
        shown = self._template.decode(sampled) + ("" if closed else self._markup.end)
        self._written += shown + between.text
        self._stable = self._stable and self._markup.is_stable(self._state.messages, self._written)

    def _has_room(self, more: int) -> bool:
        """Whether the model may still say something behind ``more`` tokens."""
        used = len(self._ids) + more
        limits = [self._max_tokens]
        if self._max_length is not None:
            limits.append(self._max_length - len(self.context.token_ids))
        return all(limit is None or used < limit for limit in limits)

    # -- the end ----------------------------------------------------------------

    def _stop(self, why: Unfinished) -> None:
        self.ending = why
        if why == "length":
            self._finish = "length"
        try:
            self._reward = added(self._reward, self._environment.finish(self._state, why))
        except Interrupted:
            raise
        except Exception as error:
            self._fail(error)
            self.ending = "error"

    def _fail(self, error: Exception) -> None:
        self._failure = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".strip()

    def close(self) -> None:
        """Let the environment give back what the rollout holds; once."""
        if not self._open:
            return
        self._open = False
        try:
            self._environment.close(self._state)
        except Interrupted:
            raise
        except Exception as error:  # the rollout is over, and its reward is known
            self._info["close_error"] = f"{type(error).__name__}: {error}"

    def sample(self) -> Sample:
        """The finished rollout."""
        return Sample(
            self.context,
            Completion(
                content=self._state.messages[self._opening :],
                token_ids=tuple(self._ids),
                trained=tuple(self._trained),
                logps=tuple(self._logps or ()),
                finish_reason=self._finish,
                sampled_by=self._sampled_by,
                weight_version=self._version or 0,
            ),
        )

    def judgement(self, index: int) -> Judgement:
        """The reward of the finished rollout, sample ``index`` of its group."""
        said = self._reward if self._reward is not None else Missing("abstained", "no reward was given")
        if self._failure:
            said = Missing("error", self._failure)
        target, judge = SampleTarget(index), str(self._environment.name)
        if isinstance(said, Missing):
            return Judgement(target, verdict=said.verdict, principle=REWARD, judge=judge, reason=said.reason)
        return Judgement(target, said, principle=REWARD, judge=judge)

    def record(self) -> dict[str, Any]:
        """How it went, as plain data."""
        return {
            "turns": self._state.turns,
            "ending": self.ending,
            "stable": self._stable,
            **({"info": self._info} if self._info else {}),
        }

    def _rendered(self, prompt: Group) -> Context:
        messages, own = self._state.messages, prompt.samples[0].context
        if own.token_ids and own.content == messages:
            return own
        where = prompt.source or prompt.id
        return Context(messages, self._template.render_context(messages, where=where))


def _started(state: State) -> State:
    if not isinstance(state, State):
        raise TypeError(f"start returned {type(state).__name__}, not a State")
    return state


def _shown(state: State, markup: TurnMarkup) -> State:
    """The opening in roles the template shows."""
    if not state.messages or state.messages[-1].role == "assistant":
        raise ValueError("the opening must end with a turn that the model is to answer")
    return replace(state, messages=markup.shown(state.messages))


def _plain(value: Any) -> Any:
    """``value`` as JSON holds it."""
    return value if value is None or isinstance(value, str | bool | int | float) else repr(value)


def same_opening(rollouts: Sequence[Conversation]) -> bool:
    """Whether all of them begin alike."""
    return len({rollout.context.token_ids for rollout in rollouts}) == 1
