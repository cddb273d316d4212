"""Which of two answers keeps better to a principle, asked in both orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from charter.feedback.judging import parse, prompts
from charter.feedback.judging.ask import Judge, Method, Tally, uses_options
from charter.feedback.judging.form import (
    Pair,
    answer_block,
    asking,
    by_options,
    by_words,
    check_seeds,
    code_for,
)
from charter.feedback.judging.model import Question
from charter.feedback.judging.opinion import Opinion, failed, inapplicable, judged, unsure
from charter.types import Message

Order = Literal["both", "given"]

OPTIONS = ("A", "B", "Tie", "NA")
"""Replies whose log-probs are compared."""

TIE = "tie"
"""How the reason of an abstention begins where the answers are equally good."""

_TOKENS = 16
_TIE_REASON = "tie: neither is better"


@dataclass(frozen=True)
class Pairwise:
    """A, B or a tie. Both orders must name the same answer; where they do not, nothing is decided.

    Two orders that name the same *place* show the judge's pull to a position, not a preference
    (MT-Bench, 2306.05685), and the judge abstains.

    Attributes:
        order: ``both``, or only the ``given`` one.
        method: see :data:`charter.feedback.judging.ask.Method`.
        seeds: replies in each order, combined by majority.
    """

    order: Order = "both"
    method: Method = "auto"
    seeds: int = 1

    def __post_init__(self) -> None:
        check_seeds(self.seeds)

    @property
    def name(self) -> str:
        """Of the form."""
        return "pairwise"

    @property
    def prompt_sha(self) -> str:
        """Of the template."""
        return prompts.prompt(self.name).sha

    def compare(self, model: Judge, pairs: Sequence[Pair], tally: Tally, seed: int = 0) -> list[Opinion]:
        """See :class:`charter.feedback.judging.form.PairForm`; equal answers tie without being asked."""
        options = uses_options(model, self.method)
        differ = [pair for pair in pairs if pair.first.answer != pair.second.answer]
        orders = (False, True) if self.order == "both" else (False,)
        questions = [_question(pair, swapped) for pair in differ for swapped in orders]
        if options:
            said = by_options(model, questions, OPTIONS, _weighed, tally)
        else:
            said = by_words(model, questions, asking(self.seeds, _TOKENS, seed), _read, tally)
        asked = iter(_both(said[at : at + len(orders)]) for at in range(0, len(said), len(orders)))
        return [
            next(asked)
            if pair.first.answer != pair.second.answer
            else unsure("tie: the answers are the same")
            for pair in pairs
        ]


def is_tie(opinion: Opinion) -> bool:
    """Whether the judge found both answers equally good, as opposed to not knowing."""
    return opinion.verdict == "abstained" and opinion.reason.startswith(f"{TIE}:")


def _question(pair: Pair, swapped: bool) -> Question:
    a, b = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    code = code_for(a, b)
    return prompts.prompt("pairwise").ask(
        {
            "code": code,
            "conversation": prompts.quote_turns("CONVERSATION", _conversation(pair), code),
            "answer_a": answer_block("ANSWER A", a, code),
            "answer_b": answer_block("ANSWER B", b, code),
            "principle": prompts.quote("PRINCIPLE", pair.clause.written, code),
        }
    )


def _conversation(pair: Pair) -> tuple[Message, ...]:
    if pair.first.conversation != pair.second.conversation:
        raise ValueError("two answers to different conversations cannot be compared")
    return pair.first.conversation


def _weighed(shares: Sequence[float]) -> Opinion:
    """Of one order, as it was asked: A is the first."""
    a, b, tie, na = shares
    reason = f"p(A) {a:.3f}, p(B) {b:.3f}, p(tie) {tie:.3f}, p(NA) {na:.3f}"
    if na > 0.5:
        return inapplicable(reason)
    if tie > max(a, b) or a == b:
        return unsure(_TIE_REASON)
    return judged(a > b, reason, chance=a / (a + b))


def _read(text: str) -> Opinion:
    said: parse.Side = parse.word(text, parse.SIDES)
    if said == "na":
        return inapplicable()
    if said == "tie":
        return unsure(_TIE_REASON)
    return (
        unsure("the judge is not sure")
        if said == "unsure"
        else judged(said == "a", f"the judge says {said.upper()}")
    )


def _both(said: Sequence[Opinion]) -> Opinion:
    """One opinion of a pair from those of its orders, the second of which was asked swapped."""
    turned = [said[0], *(_turned(one) for one in said[1:])]
    orders = tuple(_side(one) for one in turned)
    return replace(_agreed(turned), orders=orders)


def _turned(opinion: Opinion) -> Opinion:
    if opinion.passed is None:
        return opinion
    chance = None if opinion.chance is None else 1.0 - opinion.chance
    return replace(opinion, passed=not opinion.passed, chance=chance)


def _side(opinion: Opinion) -> str:
    if opinion.passed is not None:
        return "first" if opinion.passed else "second"
    return TIE if is_tie(opinion) else ""


def _agreed(said: Sequence[Opinion]) -> Opinion:
    if broken := [one for one in said if one.verdict == "error"]:
        return failed(broken[0].reason, garbage=any(one.garbage for one in broken))
    if all(one.verdict == "not_applicable" for one in said):
        return said[0]
    if len({(one.verdict, one.passed, is_tie(one)) for one in said}) > 1:
        named = " then ".join(_side(one) or one.verdict.replace("_", " ") for one in said)
        return unsure(f"the two orders disagree: {named}")
    if said[0].passed is None:
        return said[0]
    chances = [one.chance for one in said if one.chance is not None]
    chance = sum(chances) / len(chances) if len(chances) == len(said) else None
    return judged(said[0].passed, said[0].reason, chance=chance)
