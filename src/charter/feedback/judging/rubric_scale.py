"""A rating under a principle's rubric, and the lowest rating that passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.errors import ConfigError
from charter.feedback.judging import parse, prompts
from charter.feedback.judging.ask import Judge, Method, Tally, uses_options
from charter.feedback.judging.form import Item, asking, by_options, by_words, check_seeds, code_for, quoted
from charter.feedback.judging.opinion import Opinion, failed, inapplicable, judged, unsure

_TOKENS = 16


@dataclass(frozen=True)
class RubricScale:
    """A rating from 1 to ``scale``; with log-probs the expected one, and the chance of passing.

    Attributes:
        scale: the highest rating.
        pass_at: the lowest rating that passes.
        method: see :data:`charter.feedback.judging.ask.Method`.
        seeds: replies to each question: the majority of passes, the mean of ratings.

    Raises:
        ConfigError: a pass mark that every answer or none can reach.
    """

    scale: int = 5
    pass_at: int = 4
    method: Method = "auto"
    seeds: int = 1

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        if not 2 <= self.scale <= 10:
            raise ConfigError(f"a scale goes from 1 to a number between 2 and 10, not {self.scale}")
        if not 2 <= self.pass_at <= self.scale:
            raise ConfigError(f"pass_at {self.pass_at} is not between 2 and {self.scale}", where="pass_at")

    @property
    def name(self) -> str:
        """Of the form."""
        return "rubric"

    @property
    def prompt_sha(self) -> str:
        """Of the template."""
        return prompts.prompt("rubric_scale").sha

    def opinions(self, model: Judge, items: Sequence[Item], tally: Tally, seed: int = 0) -> list[Opinion]:
        """See :class:`charter.feedback.judging.form.PointForm`.

        A principle whose rubric describes ratings off the scale is an error, not a guess.
        """
        options = uses_options(model, self.method)
        fits = [all(1 <= level <= self.scale for level in item.clause.levels) for item in items]
        questions = [
            prompts.prompt("rubric_scale").ask(self._slots(item))
            for item, ok in zip(items, fits, strict=True)
            if ok
        ]
        if options:
            names = [*map(str, range(1, self.scale + 1)), "NA"]
            said = iter(by_options(model, questions, names, self._weighed, tally))
        else:
            said = iter(by_words(model, questions, asking(self.seeds, _TOKENS, seed), self._read, tally))
        return [
            next(said)
            if ok
            else failed(f"the rubric has ratings that are not on the scale 1 to {self.scale}")
            for ok in fits
        ]

    def _slots(self, item: Item) -> dict[str, str]:
        code = code_for(item.seen)
        return {
            **quoted(item.seen, code),
            "principle": prompts.quote("PRINCIPLE", item.clause.written, code),
            "scale": str(self.scale),
            "levels": item.clause.scale(self.scale),
        }

    def _weighed(self, shares: Sequence[float]) -> Opinion:
        *ratings, na = shares
        if na > 0.5:
            return inapplicable(f"p(NA) {na:.3f}")
        total = sum(ratings)
        expected = sum(rating * share for rating, share in enumerate(ratings, start=1)) / total
        chance = min(sum(ratings[self.pass_at - 1 :]) / total, 1.0)
        reason = f"expected rating {expected:.2f} of {self.scale}, p(pass) {chance:.3f}"
        if chance == 0.5:
            return unsure(reason)
        return judged(chance > 0.5, reason, chance=chance, score=self._on_unit(expected))

    def _read(self, text: str) -> Opinion:
        said = parse.rating(text, self.scale)
        if said == "na":
            return inapplicable()
        if said == "unsure":
            return unsure("the judge is not sure")
        reason = f"rated {said} of {self.scale}, {self.pass_at} passes"
        return judged(said >= self.pass_at, reason, score=self._on_unit(said))

    def _on_unit(self, rating: float) -> float:
        """1 to ``scale`` as 0 to 1."""
        return min(max((rating - 1) / (self.scale - 1), 0.0), 1.0)
