"""What every way of asking offers, and the parts of a question they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from charter.errors import ConfigError
from charter.feedback.judging.ask import Judge, Method, Tally, ask, uses_options, weigh
from charter.feedback.judging.clause import Clause
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.judging.opinion import Opinion, failed
from charter.feedback.judging.parse import Unclear
from charter.feedback.judging.prompts import code_of, quote, quote_turns
from charter.feedback.judging.view import Seen
from charter.feedback.judging.vote import vote

TEMPERATURE = 0.7
"""Of repeated replies; a single one is the most probable."""


@dataclass(frozen=True)
class Item:
    """An answer to be judged under a principle."""

    clause: Clause
    seen: Seen


@dataclass(frozen=True)
class Pair:
    """Two answers to one conversation, to be compared under a principle."""

    clause: Clause
    first: Seen
    second: Seen


class PointForm(Protocol):
    """Judges answers one by one."""

    @property
    def name(self) -> str:
        """Of the form."""
        ...

    @property
    def prompt_sha(self) -> str:
        """Of the template it asks with."""
        ...

    def opinions(self, model: Judge, items: Sequence[Item], tally: Tally, seed: int = 0) -> list[Opinion]:
        """One opinion of each item, in order.

        Raises:
            ConfigError: the model cannot be asked this way.
        """
        ...


@runtime_checkable
class PairForm(Protocol):
    """Compares answers two by two."""

    @property
    def name(self) -> str:
        """Of the form."""
        ...

    @property
    def prompt_sha(self) -> str:
        """Of the template it asks with."""
        ...

    def compare(self, model: Judge, pairs: Sequence[Pair], tally: Tally, seed: int = 0) -> list[Opinion]:
        """One opinion of each pair, in order: is the first answer better?

        Raises:
            ConfigError: the model cannot be asked this way.
        """
        ...


def quoted(seen: Seen, code: str) -> dict[str, str]:
    """The slots ``code``, ``conversation`` and ``answer`` of a template."""
    return {
        "code": code,
        "conversation": quote_turns("CONVERSATION", seen.conversation, code),
        "answer": answer_block("ANSWER", seen, code),
    }


def answer_block(label: str, seen: Seen, code: str) -> str:
    """One answer, quoted, and whether a limit cut it off."""
    (*_, last) = seen.answer or (None,)
    if last is not None and len(seen.answer) == 1:
        block = quote(label, last.content, code)
    else:
        block = quote_turns(label, seen.answer, code)
    return f"{block}\n(A length limit cut this answer off.)" if seen.unfinished else block


def code_for(*seen: Seen) -> str:
    """The code of a question about these samples."""
    return code_of({text for one in seen for text in one.texts})


def asking(seeds: int, max_tokens: int, seed: int, temperature: float = TEMPERATURE) -> Asking:
    """``seeds`` replies, sampled where there are several."""
    return Asking(n=seeds, temperature=temperature if seeds > 1 else 0.0, max_tokens=max_tokens, seed=seed)


def check_seeds(seeds: int) -> None:
    """Refuse a number of replies that is none.

    Raises:
        ConfigError: fewer than one.
    """
    if seeds < 1:
        raise ConfigError(f"a judge needs at least one reply to a question, not {seeds}", where="seeds")


def by_options(
    model: Judge,
    questions: Sequence[Question],
    options: Sequence[str],
    read: Callable[[Sequence[float]], Opinion],
    tally: Tally,
) -> list[Opinion]:
    """Opinions from how the options share the probability."""
    return [
        failed("the log-probs of the verdicts could not be computed") if shares is None else read(shares)
        for shares in weigh(model, questions, options, tally)
    ]


def by_words(
    model: Judge,
    questions: Sequence[Question],
    how: Asking,
    read: Callable[[str], Opinion],
    tally: Tally,
) -> list[Opinion]:
    """Opinions from replies, several to one question combined by majority."""
    asked = ask(model, questions, how, tally)
    known: dict[int, list[Opinion]] = {}
    for replies in asked:
        if id(replies) not in known:
            known[id(replies)] = [read_reply(reply, read, tally) for reply in replies]
    return [vote(known[id(replies)]) for replies in asked]


def read_reply(reply: Reply, read: Callable[[str], Opinion], tally: Tally) -> Opinion:
    """One reply as an opinion; one that is no verdict is an error, and counted."""
    if reply.error:
        return failed(f"no reply: {reply.error}")
    try:
        return read(reply.text)
    except Unclear as fault:
        tally.garbage += 1
        return failed(f"unreadable reply: {fault}", garbage=True)


__all__ = [
    "Item",
    "Method",
    "Pair",
    "PairForm",
    "PointForm",
    "answer_block",
    "asking",
    "by_options",
    "by_words",
    "check_seeds",
    "code_for",
    "quoted",
    "read_reply",
    "uses_options",
]
