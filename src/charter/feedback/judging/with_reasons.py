"""Reasons first, then the verdict; several replies, and their majority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.feedback.judging import parse, prompts
from charter.feedback.judging.ask import Judge, Tally, speaker
from charter.feedback.judging.form import Item, asking, by_words, check_seeds, code_for, quoted
from charter.feedback.judging.opinion import Opinion
from charter.feedback.judging.per_principle import of_word


@dataclass(frozen=True)
class WithReasons:
    """A generative judge that argues before it decides (GenRM-CoT, 2408.15240: a majority of replies).

    Attributes:
        seeds: replies to each question; the reasons kept are the first's on the winning side.
        max_tokens: most tokens of one.
    """

    seeds: int = 3
    max_tokens: int = 512

    def __post_init__(self) -> None:
        check_seeds(self.seeds)

    @property
    def name(self) -> str:
        """Of the form."""
        return "with_reasons"

    @property
    def prompt_sha(self) -> str:
        """Of the template."""
        return prompts.prompt(self.name).sha

    def opinions(self, model: Judge, items: Sequence[Item], tally: Tally, seed: int = 0) -> list[Opinion]:
        """See :class:`charter.feedback.judging.form.PointForm`."""
        speaker(model)
        questions = []
        for item in items:
            code = code_for(item.seen)
            principle = prompts.quote("PRINCIPLE", item.clause.written, code)
            questions.append(
                prompts.prompt(self.name).ask({**quoted(item.seen, code), "principle": principle})
            )
        return by_words(model, questions, asking(self.seeds, self.max_tokens, seed), _read, tally)


def _read(text: str) -> Opinion:
    said, reasons = parse.last_line(text)
    return of_word(said, reasons or f"the judge says {said}, without reasons")
