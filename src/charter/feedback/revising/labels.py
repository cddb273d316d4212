"""Constitutional AI, second half: which of two answers follows drawn principles (2212.08073, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import Field

from charter.config import Config
from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.feedback.judging.model import OptionModel
from charter.feedback.revising.comparisons import (
    OPTIONS,
    Comparison,
    compare_question,
    comparisons,
    with_reasons,
)
from charter.feedback.revising.draw import usable
from charter.feedback.revising.journal import journal_in
from charter.feedback.revising.option_answers import option_answers
from charter.feedback.revising.probabilities import COT_CLAMP, Clamp, both_orders, clamped, mean, shares
from charter.feedback.revising.prompts import Wordings, statement, titles_of, wordings
from charter.feedback.revising.writer import Writer
from charter.types import Group, Judgement, PairTarget


class LabelOptions(Config):
    """How pairs are labelled."""

    principles_per_pair: int = Field(1, ge=1)
    """Principles drawn for each pair; their probabilities are averaged."""
    principles: tuple[str, ...] = ()
    """Ids of the principles to draw from; empty = all that are active."""
    chain_of_thought: bool = False
    """Let the model reason before it is asked."""
    clamp: tuple[float, float] | None = None
    """Least and greatest probability; None = 0.4 and 0.6 after a chain of thought, else no limit."""
    max_reasons_length: int = Field(256, ge=1)
    """Most tokens of a chain of thought."""
    seed: int = Field(0, ge=0)
    """Decides which principles are drawn."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one principle says of a pair.

    Attributes:
        principle: its id.
        principle_sha: its sha256.
        orders: probability of the first answer, shown as (A) and shown as (B), clamped.
        mass: probability that the reply was an option at all, mean of both orders.
        reasons: the chain of thought of each order; "" without.
    """

    principle: str
    principle_sha: str
    orders: tuple[float, float]
    mass: float
    reasons: tuple[str, str] = ("", "")

    @property
    def probability(self) -> float:
        """That the first answer is better, both orders averaged."""
        return both_orders(*self.orders)

    @property
    def consistent(self) -> bool:
        """Whether both orders favour the same answer."""
        first, second = self.orders
        return (first - 0.5) * (second - 0.5) > 0


@dataclass(frozen=True, slots=True)
class PairLabel:
    """What was said of one pair of a group.

    Attributes:
        group: index of the group.
        pair: indices of both samples.
        opinions: one a principle that was answered in both orders.
        failed: principles without an answer in both orders.
        judge: who was asked.
    """

    group: int
    pair: tuple[int, int]
    opinions: tuple[Opinion, ...]
    failed: tuple[str, ...]
    judge: str

    @property
    def probability(self) -> float | None:
        """That the first answer is better, all principles averaged; None where none was answered."""
        return mean([one.probability for one in self.opinions]) if self.opinions else None

    @property
    def judgement(self) -> Judgement:
        """The soft label: ``better`` first, its probability at least one half, the margin as value.

        A pair nobody answered is an ``error``, never an even pair.
        """
        probability, alone = self.probability, self.opinions[0] if len(self.opinions) == 1 else None
        if probability is None:
            reason = "no principle was answered in both orders"
            return Judgement(PairTarget(*self.pair), verdict="error", judge=self.judge, reason=reason)
        return _soft(
            self.pair,
            probability,
            self.judge,
            alone.principle if alone else "",
            alone.principle_sha if alone else "",
            f"{len(self.opinions)} principles" if alone is None else "",
        )

    def judgements(self) -> list[Judgement]:
        """One soft label a principle, for people and for attribution."""
        return [
            _soft(self.pair, one.probability, self.judge, one.principle, one.principle_sha, one.reasons[0])
            for one in self.opinions
        ]


@dataclass(frozen=True)
class Labels:
    """The labels of many pairs.

    Attributes:
        labels: one a pair, in order.
        skipped: pairs that were not asked, by reason.
        shas: of the wordings used, by name.
    """

    labels: tuple[PairLabel, ...]
    skipped: dict[str, int] = field(default_factory=dict)
    shas: dict[str, str] = field(default_factory=dict)

    @property
    def opinions(self) -> list[Opinion]:
        """Of all pairs."""
        return [one for label in self.labels for one in label.opinions]

    @property
    def consistent(self) -> float | None:
        """Share of opinions in which both orders favour the same answer; None where there are none."""
        found = self.opinions
        return sum(one.consistent for one in found) / len(found) if found else None

    @property
    def mass(self) -> float | None:
        """Mean probability that a reply was an option at all; None where there are none."""
        found = self.opinions
        return mean([one.mass for one in found]) if found else None

    @property
    def shown_first(self) -> float | None:
        """Mean probability of the answer shown as (A): one half without a position bias."""
        found = [value for one in self.opinions for value in (one.orders[0], 1 - one.orders[1])]
        return mean(found) if found else None

    def counts(self) -> dict[str, int]:
        """What became of every pair."""
        return {
            "pairs labelled": sum(bool(one.opinions) for one in self.labels),
            "pairs without any answer": sum(not one.opinions for one in self.labels),
            "principles without an answer in both orders": sum(len(one.failed) for one in self.labels),
            **self.skipped,
        }

    def lines(self) -> list[str]:
        """For people: counts that are not zero, and how far the judge can be believed."""
        lines = [f"{count} {what}" for what, count in self.counts().items() if count]
        if self.consistent is not None and self.shown_first is not None and self.mass is not None:
            lines.append(f"both orders agree in {self.consistent:.0%} of {len(self.opinions)} comparisons")
            lines.append(f"the answer shown first got {self.shown_first:.2f} on average (0.50 = no bias)")
            lines.append(f"{self.mass:.0%} of the probability went to (A) or (B)")
        return lines


def label_pairs(
    groups: Sequence[Group],
    constitution: Constitution,
    model: OptionModel,
    *,
    thinker: Writer | None = None,
    options: LabelOptions | None = None,
    journals: Path | None = None,
    words: Wordings | None = None,
) -> Labels:
    """Label every pair of every group by the log-probs of "(A)" and "(B)" under drawn principles.

    Each principle is asked in both orders; a probability is renormalised over the two options, then
    clamped, then averaged over orders, then over principles.

    Args:
        groups: two or more answers to a prompt each.
        constitution: where principles come from.
        model: scores the options.
        thinker: writes the chain of thought; usually the same model.
        options: see :class:`LabelOptions`.
        journals: folder in which every answer is kept as it comes.
        words: what is asked; None = the shipped wordings.

    Raises:
        ConfigError: a chain of thought without a ``thinker``, or a clamp that is none.
        Interrupted: what was answered is in the journals; the same call continues.
    """
    options, words = options or LabelOptions(), words or wordings()
    if options.chain_of_thought and thinker is None:
        raise ConfigError("a chain of thought needs a model that writes it", where="chain_of_thought")
    clamp = clamp_of(options)
    asked, skipped = comparisons(
        groups, usable(constitution, options.principles), options.principles_per_pair, options.seed
    )
    titles = titles_of(constitution)
    name = "compare_thinking" if options.chain_of_thought else "compare"
    questions = [
        compare_question(words, name, groups[one.group], one.order(swapped), statement(one.principle, titles))
        for one in asked
        for swapped in (False, True)
    ]
    reasons: list[str] = [""] * len(questions)
    ready = list(range(len(questions)))
    if thinker is not None and options.chain_of_thought:
        thought = with_reasons(
            questions,
            thinker,
            journal_in(journals, "reasons"),
            words,
            max_tokens=options.max_reasons_length,
            seed=options.seed,
        )
        ready = [index for index, one in enumerate(thought) if one is not None]
        for index, one in enumerate(thought):
            if one is not None:
                questions[index], reasons[index] = one
    answered = option_answers(
        model, journal_in(journals, "labels"), [questions[i] for i in ready], OPTIONS, label="labels"
    )
    scored = dict(zip(ready, answered, strict=True))
    shas = {key: words[key].sha for key in ((name, "verdict") if options.chain_of_thought else (name,))}
    return Labels(_gathered(asked, scored, reasons, clamp, model.name), skipped, shas)


def clamp_of(options: LabelOptions) -> Clamp | None:
    """The limits of a probability.

    Raises:
        ConfigError: they do not lie around one half, so that clamping could turn a preference round.
    """
    clamp = options.clamp or (COT_CLAMP if options.chain_of_thought else None)
    if clamp is not None and not 0 <= clamp[0] <= 0.5 <= clamp[1] <= 1:
        raise ConfigError(f"clamp must lie around 0.5, between 0 and 1, not {list(clamp)}", where="clamp")
    return clamp


def _gathered(
    asked: Sequence[Comparison],
    scored: Mapping[int, tuple[float, ...]],
    reasons: Sequence[str],
    clamp: Clamp | None,
    judge: str,
) -> tuple[PairLabel, ...]:
    found: dict[tuple[int, tuple[int, int]], PairLabel] = {}
    for number, one in enumerate(asked):
        at = (one.group, one.pair)
        label = found.setdefault(at, PairLabel(one.group, one.pair, (), (), judge))
        there, back = (shares(scored.get(2 * number + swapped, ())) for swapped in (0, 1))
        if there is None or back is None:
            found[at] = replace(label, failed=(*label.failed, one.principle.id))
            continue
        # Shown second, the first answer is option (B).
        orders = clamped(there.shares[0], clamp), clamped(back.shares[1], clamp)
        opinion = Opinion(
            one.principle.id,
            one.principle.sha,
            orders,
            (there.mass + back.mass) / 2,
            (reasons[2 * number], reasons[2 * number + 1]),
        )
        found[at] = replace(label, opinions=(*label.opinions, opinion))
    return tuple(found.values())


def _soft(
    pair: tuple[int, int], probability: float, judge: str, principle: str, sha: str, reason: str
) -> Judgement:
    better, worse, sure = (*pair, probability) if probability >= 0.5 else (*pair[::-1], 1 - probability)
    return Judgement(
        PairTarget(better, worse),
        value=2 * sure - 1,
        probability=sure,
        principle=principle,
        principle_sha=sha,
        judge=judge,
        reason=reason,
    )
