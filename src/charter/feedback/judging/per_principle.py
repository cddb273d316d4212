"""One question for one principle: does the answer keep to it, yes or no?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.feedback.judging import parse, prompts
from charter.feedback.judging.ask import Judge, Method, Tally, uses_options
from charter.feedback.judging.form import Item, asking, by_options, by_words, check_seeds, code_for, quoted
from charter.feedback.judging.opinion import Opinion, inapplicable, judged, unsure

OPTIONS = ("Yes", "No", "NA")
"""Replies whose log-probs are compared."""

_TOKENS = 16


@dataclass(frozen=True)
class PerPrinciple:
    """A yes or no on one principle; with log-probs the chance of yes among yes and no (2212.08073).

    Attributes:
        method: see :data:`charter.feedback.judging.ask.Method`.
        seeds: replies to each question, combined by majority; log-probs need one.
        flipped: ask whether the answer *breaks* the principle. A judge that knows what it is asked turns
            its verdict round, so that the reading stays the same.
    """

    method: Method = "auto"
    seeds: int = 1
    flipped: bool = False

    def __post_init__(self) -> None:
        check_seeds(self.seeds)

    @property
    def name(self) -> str:
        """Of the form."""
        return "per_principle_flipped" if self.flipped else "per_principle"

    @property
    def prompt_sha(self) -> str:
        """Of the template."""
        return prompts.prompt(self.name).sha

    def opinions(self, model: Judge, items: Sequence[Item], tally: Tally, seed: int = 0) -> list[Opinion]:
        """See :class:`charter.feedback.judging.form.PointForm`."""
        options = uses_options(model, self.method)
        questions = [prompts.prompt(self.name).ask(_slots(item)) for item in items]
        if options:
            return by_options(model, questions, OPTIONS, self._weighed, tally)
        return by_words(model, questions, asking(self.seeds, _TOKENS, seed), self._read, tally)

    def _weighed(self, shares: Sequence[float]) -> Opinion:
        yes, no, na = shares
        if na > 0.5:
            return inapplicable(f"p(NA) {na:.3f}")
        keeps, breaks = (no, yes) if self.flipped else (yes, no)
        reason = f"p(yes) {yes:.3f}, p(no) {no:.3f}, p(NA) {na:.3f}"
        if keeps == breaks:
            return unsure(reason)
        return judged(keeps > breaks, reason, chance=keeps / (keeps + breaks))

    def _read(self, text: str) -> Opinion:
        return of_word(parse.word(text), flipped=self.flipped)


def of_word(said: parse.Word, reason: str = "", *, flipped: bool = False) -> Opinion:
    """A verdict in words as an opinion."""
    if said == "na":
        return inapplicable(reason or inapplicable().reason)
    if said == "unsure":
        return unsure(reason or "the judge is not sure")
    return judged((said == "yes") != flipped, reason or f"the judge says {said}")


def _slots(item: Item) -> dict[str, str]:
    code = code_for(item.seen)
    return {**quoted(item.seen, code), "principle": prompts.quote("PRINCIPLE", item.clause.written, code)}
