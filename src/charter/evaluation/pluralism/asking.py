"""The shares with which a model chooses each option: from log-probs, or from samples, in both orders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charter.errors import ConfigError
from charter.evaluation.pluralism.wording import Asked, letters, orders_of, read_reply, turns_of
from charter.feedback.judging.model import Asking, JudgeModel, OptionModel, Question
from charter.rundir import append_jsonl, read_jsonl, sha256_json

Method = Literal["logprobs", "sampling"]
METHODS: tuple[Method, ...] = ("logprobs", "sampling")

_AT_ONCE = 64
_REPLY_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Spread:
    """What a model answered to one question.

    Attributes:
        shares: of each option, the mean of both orders; empty = not measured.
        order_gap: total variation between the two orders: how much the place decides, in [0, 1]; None
            where one order gave nothing.
        replies: how many were sampled; 0 with log-probs.
        unread: replies that name no option, or several.
        why: of one that is not measured, the reason.
    """

    shares: tuple[float, ...]
    order_gap: float | None = None
    replies: int = 0
    unread: int = 0
    why: str = ""

    @property
    def measured(self) -> bool:
        """Whether there are shares."""
        return bool(self.shares)


class SurveyTaker:
    """Puts questions to a model; each is answered once, and what was answered is kept.

    Args:
        model: gives log-probs of options, or replies.
        method: ``logprobs`` asks for the probability of each option's letter; ``sampling`` for replies.
        n: replies to each question, half of them in each order; with ``sampling``.
        seed: of what is sampled.
        journal: file of what was answered; None = it is not kept.

    Raises:
        ConfigError: no such method, or one the model does not offer.
    """

    def __init__(
        self,
        model: Any,
        method: Method = "logprobs",
        *,
        n: int = 20,
        seed: int = 0,
        journal: Path | None = None,
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"method is one of {', '.join(METHODS)}, not {method!r}", where="--method")
        wanted: Any = OptionModel if method == "logprobs" else JudgeModel
        if not isinstance(model, wanted):
            raise ConfigError(
                f"this model gives no {'log-probs of options' if method == 'logprobs' else 'replies'}",
                where="--method",
                fix=f"use --method {'sampling' if method == 'logprobs' else 'logprobs'}",
            )
        if n < 2 or n % 2:
            raise ConfigError("n must be even, as half of the replies are in each order", where="--n")
        self.model, self.method, self.n, self.seed, self.journal = model, method, n, seed, journal
        self._known: dict[str, Spread] = {}
        if journal is not None and journal.exists():
            self._known = {row["key"]: _spread(row) for row in read_jsonl(journal)}

    def __call__(self, asked: Sequence[Asked]) -> list[Spread]:
        """One spread for each question.

        Raises:
            Interrupted: the person asked to stop; what was answered is kept.
        """
        keys = [self._key(one) for one in asked]
        first = {key: one for key, one in zip(keys, asked, strict=True) if key not in self._known}
        ask: Callable[[Sequence[Asked]], list[Spread]]
        ask = self._by_logprobs if self.method == "logprobs" else self._by_sampling
        waiting = list(first)
        for start in range(0, len(waiting), _AT_ONCE):
            part = waiting[start : start + _AT_ONCE]
            for key, spread in zip(part, ask([first[key] for key in part]), strict=True):
                self._known[key] = spread
                if self.journal is not None:
                    append_jsonl(self.journal, _row(key, spread))
        return [self._known[key] for key in keys]

    def _key(self, asked: Asked) -> str:
        turns = [[turn.role, turn.content] for turn in turns_of(asked, orders_of(asked.question)[0])]
        how = [self.method, self.n, self.seed] if self.method == "sampling" else [self.method]
        return sha256_json([self.model.name, how, turns])

    def _by_logprobs(self, asked: Sequence[Asked]) -> list[Spread]:
        questions = [Question(turns_of(one, order)) for one in asked for order in orders_of(one.question)]
        options = [letters(one.question) for one in asked for _ in range(2)]
        found = self.model.option_logps(questions, options)
        made = []
        for index, one in enumerate(asked):
            both = [
                _placed(_softmax(logps), order)
                for logps, order in zip(
                    found[2 * index : 2 * index + 2], orders_of(one.question), strict=True
                )
            ]
            made.append(_joined(both, "the question is too long for the model"))
        return made

    def _by_sampling(self, asked: Sequence[Asked]) -> list[Spread]:
        questions = [Question(turns_of(one, order)) for one in asked for order in orders_of(one.question)]
        how = Asking(self.n // 2, 1.0, _REPLY_TOKENS, self.seed)
        replies = self.model.answer(questions, how)
        made = []
        for index, one in enumerate(asked):
            both, unread = [], 0
            for got, order in zip(replies[2 * index : 2 * index + 2], orders_of(one.question), strict=True):
                picks = [None if r.error else read_reply(r.text, one.question, order) for r in got]
                unread += picks.count(None)
                read = [pick for pick in picks if pick is not None]
                counts = [read.count(option) for option in range(len(one.question.options))]
                both.append([count / len(read) for count in counts] if read else [])
            spread = _joined(both, "no reply names an option")
            made.append(Spread(spread.shares, spread.order_gap, self.n, unread, spread.why))
        return made


def _softmax(logps: Sequence[float]) -> list[float]:
    if any(math.isnan(one) for one in logps):
        return []
    top = max(logps)
    chances = [math.exp(one - top) for one in logps]
    return [one / sum(chances) for one in chances]


def _placed(shares: Sequence[float], order: Sequence[int]) -> list[float]:
    """Shares by option, from shares by place."""
    if not shares:
        return []
    by_option = [0.0] * len(order)
    for place, option in enumerate(order):
        by_option[option] = shares[place]
    return by_option


def _joined(both: Sequence[Sequence[float]], why: str) -> Spread:
    """The mean of both orders; not measured where one is missing, as its place would then decide."""
    if not all(both):
        return Spread((), why=why)
    one, other = both
    gap = 0.5 * sum(abs(a - b) for a, b in zip(one, other, strict=True))
    return Spread(tuple((a + b) / 2 for a, b in zip(one, other, strict=True)), gap)


def _row(key: str, spread: Spread) -> dict[str, Any]:
    return {
        "key": key,
        "shares": list(spread.shares),
        "order_gap": spread.order_gap,
        "replies": spread.replies,
        "unread": spread.unread,
        "why": spread.why,
    }


def _spread(row: dict[str, Any]) -> Spread:
    return Spread(tuple(row["shares"]), row["order_gap"], row["replies"], row["unread"], row["why"])
