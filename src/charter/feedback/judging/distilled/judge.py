"""The distilled judge, asked: a probability from a head that never saw the prompt or the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from charter.feedback.judging.ask import Tally
from charter.feedback.judging.distilled.cross_fit import FoldHead
from charter.feedback.judging.distilled.features import Reader
from charter.feedback.judging.distilled.keys import answer_key, prompt_keys
from charter.feedback.judging.distilled.store import Floats
from charter.feedback.judging.form import Item, Pair, PairForm, PointForm
from charter.feedback.judging.opinion import Opinion, failed, judged, unsure
from charter.feedback.judging.view import Seen

if TYPE_CHECKING:
    from charter.feedback.judging.ask import Judge

FAMILY = "distilled"
"""No language model's: its verdicts are fitted to labels, not the taste of the model it reads with."""


LONGER = 1.5
"""Answers up to so many times as long as the longest that was trained on are judged: features are means over
tokens, which change slowly with their number, and what is put at the end of an answer is to be seen."""


ASKED = "one head a prompt"
"""How the heads are asked; part of what answers are remembered by."""


def clause_sha(written: str) -> str:
    """Of a principle's words as judges read them: another wording was not trained on."""
    return hashlib.sha256(written.encode()).hexdigest()


@dataclass(frozen=True)
class _Graded:
    """Log-odds of an answer, or why there are none."""

    logit: float | None
    why: str
    broken: bool = False


class DistilledJudge:
    """Judges single answers by heads on a frozen model's features.

    An answer is graded by one head that was trained neither on its prompt nor on its words: an example by
    the one that never saw it, what is new by one that the prompt's hash draws from all of them. So the judge
    may be examined on the examples it was made from, and what its card measures there is what it does on
    new prompts: each verdict there is one head's as well, of a head drawn alike.

    Args:
        name: what the person called it, and the sha of what it is.
        reader: gives features.
        heads: see :class:`charter.feedback.judging.distilled.cross_fit.FoldHead`.
        principles: number of each principle by :func:`clause_sha`.
        temperature: log-odds are divided by it.
        longest: most tokens of an answer that was trained on; see :data:`LONGER`.
    """

    def __init__(
        self,
        name: str,
        reader: Reader,
        heads: Sequence[FoldHead],
        principles: dict[str, int],
        temperature: float,
        longest: int,
    ) -> None:
        self.name, self.family = name, FAMILY
        self._reader, self._heads, self._principles = reader, tuple(heads), principles
        self._temperature, self._most = temperature, int(LONGER * longest)

    def opinions(self, items: Sequence[Item], tally: Tally) -> list[Opinion]:
        """An opinion of each answer; abstains where it cannot know.

        Raises:
            Interrupted: the person asked to stop.
            UserError: the model is not the one the judge was distilled on.
        """
        heads = [self._head((item.seen,)) for item in items]
        return [self._opinion(one) for one in self._grade(items, heads, tally)]

    def compare(self, pairs: Sequence[Pair], tally: Tally) -> list[Opinion]:
        """Is the first answer better? The order in which they are shown does not matter.

        Raises:
            Interrupted, UserError: see :meth:`opinions`.
        """
        items = [Item(pair.clause, seen) for pair in pairs for seen in (pair.first, pair.second)]
        # Log-odds of two heads cannot be compared: one head grades both answers.
        heads = [head for pair in pairs for head in [self._head((pair.first, pair.second))] * 2]
        graded = self._grade(items, heads, tally)
        return [self._better(a, b) for a, b in zip(graded[::2], graded[1::2], strict=True)]

    def _head(self, answers: Sequence[Seen]) -> int | None:
        """Number of the head that grades these answers to one conversation; None = each was trained on one.

        Every head has a hash with the prompt, and the least of those that may grade wins: so all answers to
        a prompt go to one head, and heads that may not grade do not move a prompt that is not theirs.
        """
        prompts = prompt_keys(answers[0].conversation)
        keys = [answer_key(one.answer) for one in answers]
        free = [
            number
            for number, head in enumerate(self._heads)
            if all(head.may_grade(prompts, key) for key in keys)
        ]
        return min(free, key=lambda number: _drawn(min(prompts), number), default=None)

    def _grade(self, items: Sequence[Item], heads: Sequence[int | None], tally: Tally) -> list[_Graded]:
        found: list[_Graded | None] = [None] * len(items)
        wanted = []
        for place, (item, head) in enumerate(zip(items, heads, strict=True)):
            clause = clause_sha(item.clause.written)
            if clause not in self._principles:
                found[place] = _Graded(None, "it was not trained on this principle in these words")
            elif item.seen.empty:
                found[place] = _Graded(None, "the answer is empty")
            elif head is None:
                found[place] = _Graded(None, "every head was trained on the prompt or on the answer")
            else:
                rendered = self._reader.render(item.clause.written, item.seen)
                if rendered.sample is None:
                    found[place] = _Graded(None, rendered.why, broken=True)
                elif rendered.answer_tokens > self._most:
                    why = f"the answer has more than {self._most} tokens, far more than any it was trained on"
                    found[place] = _Graded(None, why)
                else:
                    wanted.append((place, rendered, self._principles[clause], head))
        asked = [rendered for _, rendered, _, _ in wanted]
        x: Sequence[Floats] = list(self._reader.read(asked, "judge")) if asked else []
        for (place, _, number, head), row in zip(wanted, x, strict=True):
            logit = float(self._heads[head].head.logits(row[None], np.asarray([number]))[0])
            found[place] = _Graded(logit / self._temperature, f"head {head + 1} of {len(self._heads)}")
        tally.questions += len(items)
        tally.replies += len(wanted)
        tally.failed += sum(one is not None and one.broken for one in found)
        return [one for one in found if one is not None]

    def _opinion(self, one: _Graded) -> Opinion:
        if one.logit is None:
            return failed(one.why) if one.broken else unsure(one.why)
        chance = _sigmoid(one.logit)
        reason = f"p(keeps) {chance:.3f}, {one.why}"
        return unsure(reason) if one.logit == 0 else judged(one.logit > 0, reason, chance=chance)

    def _better(self, first: _Graded, second: _Graded) -> Opinion:
        for one in (first, second):
            if one.logit is None:
                return failed(one.why) if one.broken else unsure(one.why)
        assert first.logit is not None and second.logit is not None
        gap = first.logit - second.logit
        chance = _sigmoid(gap)
        reason = f"p(first is better) {chance:.3f}, {first.why}"
        return unsure(f"tie: {reason}") if gap == 0 else judged(gap > 0, reason, chance=chance)


@dataclass(frozen=True)
class DistilledForm:
    """Asks distilled judges for their probability, and others of a panel in the form it wraps.

    Attributes:
        inner: how language models are asked.
        sha: of the distilled judges.
    """

    inner: PointForm
    sha: str

    @property
    def name(self) -> str:
        """Of the form."""
        return "distilled"

    @property
    def prompt_sha(self) -> str:
        """Of the judges, which have no prompt, how they are asked, and the template of the others."""
        return hashlib.sha256(f"{ASKED} {self.sha} {self.inner.prompt_sha}".encode()).hexdigest()

    def opinions(self, model: Judge, items: Sequence[Item], tally: Tally, seed: int = 0) -> list[Opinion]:
        """See :class:`charter.feedback.judging.form.PointForm`."""
        if isinstance(model, DistilledJudge):
            return model.opinions(items, tally)
        return self.inner.opinions(model, items, tally, seed)


@dataclass(frozen=True)
class DistilledPairs:
    """As :class:`DistilledForm`, of two answers."""

    inner: PairForm
    sha: str

    @property
    def name(self) -> str:
        """Of the form."""
        return "distilled_pairs"

    @property
    def prompt_sha(self) -> str:
        """See :class:`DistilledForm`."""
        return hashlib.sha256(f"{ASKED} {self.sha} {self.inner.prompt_sha}".encode()).hexdigest()

    def compare(self, model: Judge, pairs: Sequence[Pair], tally: Tally, seed: int = 0) -> list[Opinion]:
        """See :class:`charter.feedback.judging.form.PairForm`."""
        if isinstance(model, DistilledJudge):
            return model.compare(pairs, tally)
        return self.inner.compare(model, pairs, tally, seed)


def form_for(inner: PointForm | PairForm, judges: Sequence[DistilledJudge]) -> DistilledForm | DistilledPairs:
    """The form in which a panel with distilled judges is asked."""
    sha = " ".join(one.name for one in judges)
    return DistilledPairs(inner, sha) if isinstance(inner, PairForm) else DistilledForm(inner, sha)


def _drawn(prompt: str, head: int) -> bytes:
    return hashlib.sha256(f"head {head} {prompt}".encode()).digest()


def _sigmoid(x: float) -> float:
    return float(np.exp(-np.logaddexp(0.0, -x)))
