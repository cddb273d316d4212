"""Do two principles contradict each other? Asked in both orders, which must agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from charter.feedback.judging.ask import Judge, Tally, ask, uses_options, weigh
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.judging.parse import Unclear, word
from charter.feedback.judging.prompts import Prompt, code_of, quote, read_prompt

NAME = "contradiction"
OPTIONS = ("Yes", "No")
"""Replies whose log-probs are compared."""

_WORDS = {"yes": "yes", "no": "no", "unsure": "unsure"}
_TOKENS = 16

Verdict = Literal["yes", "no", "unsure", "orders disagree", "no verdict"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said of a pair.

    Attributes:
        verdict: ``yes`` = they contradict each other, in whichever order they are shown.
        said: in the order given, and in the other.
    """

    verdict: Verdict
    said: tuple[str, str]


@cache
def prompt() -> Prompt:
    """The template."""
    return read_prompt(NAME, resources.files(__package__).joinpath("prompts", f"{NAME}.txt"))


def heard(model: Judge, pairs: Sequence[tuple[str, str]], tally: Tally, seed: int = 0) -> list[Heard]:
    """What ``model`` says of each pair of texts.

    Raises:
        ConfigError: the model can neither weigh options nor speak.
        Interrupted: the person asked to stop.
    """
    questions = [_question(*shown) for first, second in pairs for shown in ((first, second), (second, first))]
    if uses_options(model, "auto"):
        said = [_weighed(shares) for shares in weigh(model, questions, OPTIONS, tally)]
    else:
        how = Asking(n=1, temperature=0.0, max_tokens=_TOKENS, seed=seed)
        said = [_read(reply, tally) for (reply,) in ask(model, questions, how, tally)]
    return [_both(*said[at : at + 2]) for at in range(0, len(said), 2)]


def _question(first: str, second: str) -> Question:
    code = code_of((first, second))
    shown = {"first": quote("ONE PRINCIPLE", first, code), "second": quote("OTHER PRINCIPLE", second, code)}
    return prompt().ask({"code": code, **shown})


_Said = tuple[str, str]
"""``yes``, ``no``, ``unsure`` or "" (no verdict), and the words for it."""


def _weighed(shares: tuple[float, ...] | None) -> _Said:
    if shares is None:
        return "", "the log-probs could not be computed"
    yes, no = shares
    return ("unsure" if yes == no else "yes" if yes > no else "no"), f"p(yes) {yes:.3f}"


def _read(reply: Reply, tally: Tally) -> _Said:
    if reply.error:
        return "", f"no reply: {reply.error}"
    try:
        found: str = word(reply.text, _WORDS)
    except Unclear as fault:
        tally.garbage += 1
        return "", f"unreadable reply: {fault}"
    return found, found


def _both(one: _Said, other: _Said) -> Heard:
    said = (one[1], other[1])
    if not one[0] or not other[0]:
        return Heard("no verdict", said)
    if one[0] != other[0]:
        return Heard("orders disagree", said)
    return Heard("yes" if one[0] == "yes" else "no" if one[0] == "no" else "unsure", said)
