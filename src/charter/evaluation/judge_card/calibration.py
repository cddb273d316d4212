"""What a judge is calibrated on: the constitution's GOOD and BAD answers, and what people labelled."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from charter.constitution import Constitution
from charter.evaluation.judge_card.asking import Judge, Said, answer_group, ask, missing, pair_group
from charter.evaluation.judge_card.criterion import Criterion, Limits, Result, span, unmeasured, worth
from charter.evaluation.reward_bench.style import length
from charter.stats import Interval, percent, wilson
from charter.stats.clustered import by_cluster, effective_counts
from charter.stats.judge_rate import JudgeErrors
from charter.types import Content


@dataclass(frozen=True, slots=True)
class GoldPair:
    """Two answers to one conversation, the better one known.

    Attributes:
        principle: under which it is better.
        context: the conversation.
        good: the better answer.
        bad: the worse one.
        cluster: pairs of one comparison hang together.
        source: ``example`` or ``human``.
    """

    principle: str
    context: Content
    good: str
    bad: str
    cluster: str
    source: str = "example"


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """An answer known to keep to a principle or to break it.

    Attributes:
        id: of the item.
        principle: which one.
        context: the conversation.
        text: the answer.
        good: does it keep to the principle?
        source: ``example`` or ``human``.
        model: who wrote it, "" = not said.
        random: it was drawn at random from the answers of a model, to be labelled.
    """

    id: str
    principle: str
    context: Content
    text: str
    good: bool
    source: str = "example"
    model: str = ""
    random: bool = False


@dataclass(frozen=True)
class PairVerdict:
    """A judge on a pair, shown in both orders.

    Attributes:
        pair: the pair.
        first: the better one when the good answer came first: ``good``, ``bad``, ``tie``; None = no verdict.
        second: the same when it came second.
    """

    pair: GoldPair
    first: str | None
    second: str | None

    @property
    def measured(self) -> bool:
        """Both orders have a verdict."""
        return self.first is not None and self.second is not None

    @property
    def right(self) -> bool:
        """The good answer is preferred in both orders; a flip or a tie is not right."""
        return self.first == "good" and self.second == "good"


def asked(context: Content) -> Hashable:
    """What makes two conversations the same: answers to it, and their labels, hang together."""
    if isinstance(context, str):
        return (("user", context.strip()),)
    return tuple((turn.role, turn.content.strip()) for turn in context if turn.role != "system")


def gold_pairs(constitution: Constitution, principle: str) -> list[GoldPair]:
    """Every GOOD and BAD answer to one conversation in the examples.

    A ``BAD[#id]`` answer belongs to the principle it breaks, which may be another's example.
    """
    found = []
    for owner in constitution.active:
        for number, example in enumerate(owner.examples):
            for place, (context, comparison) in enumerate(example.conversations()):
                found += [
                    GoldPair(principle, context, good.text, bad.text, f"{owner.id}/{number}/{place}")
                    for good, bad in comparison.pairs()
                    if (bad.about or owner.id) == principle
                ]
    return found


def gold_answers(constitution: Constitution, principle: str) -> list[GoldAnswer]:
    """Every GOOD answer of a principle's examples, and every BAD one that breaks it."""
    found = []
    for owner in constitution.active:
        for number, example in enumerate(owner.examples):
            for place, (context, comparison) in enumerate(example.conversations()):
                for index, answer in enumerate(comparison.answers):
                    good = answer.label == "good" and owner.id == principle
                    bad = answer.label == "bad" and (answer.about or owner.id) == principle
                    if good or bad:
                        id = f"{owner.id}/{number}/{place}/{index}"
                        found.append(GoldAnswer(id, principle, context, answer.text, good))
    return found


def judge_pairs(
    judge: Judge, pairs: Sequence[GoldPair], label: str
) -> tuple[list[PairVerdict], dict[str, int]]:
    """Each pair in both orders, and why there was no verdict on some."""
    if not pairs:
        return [], {}
    principle = pairs[0].principle
    groups = [
        pair_group(pair.context, *texts, principle, pair.cluster)
        for pair in pairs
        for texts in ((pair.good, pair.bad), (pair.bad, pair.good))
    ]
    said = ask(judge, groups, principle, label)
    verdicts = [
        PairVerdict(pair, _named(said[2 * i], "good", "bad"), _named(said[2 * i + 1], "bad", "good"))
        for i, pair in enumerate(pairs)
    ]
    return verdicts, missing(said)


def judge_answers(
    judge: Judge, answers: Sequence[GoldAnswer], label: str
) -> tuple[list[bool | None], dict[str, int]]:
    """Whether the judge passes each answer, shown alone."""
    if not answers:
        return [], {}
    groups = [answer_group(one.context, one.text, one.principle, one.id, one.model) for one in answers]
    said = ask(judge, groups, answers[0].principle, label)
    return [one.passes[0] for one in said], missing(said)


def errors_of(answers: Sequence[GoldAnswer], passed: Sequence[bool | None]) -> JudgeErrors:
    """Counts of right and wrong verdicts; answers without a verdict are left out.

    Answers to one conversation count as what they are worth.
    """
    said = [(one, p) for one, p in zip(answers, passed, strict=True) if p is not None]

    def of(good: bool) -> list[list[float]]:
        return by_cluster((asked(one.context), float(p)) for one, p in said if one.good == good)

    return JudgeErrors.of(of(True), of(False))


def pair_criterion(verdicts: Sequence[PairVerdict], limits: Limits) -> Criterion:
    """The free pre-test: GOOD over BAD, in both orders, in at least nine pairs of ten."""
    measured = [one for one in verdicts if one.measured]
    if not measured:
        return unmeasured("pairs", "no GOOD and BAD pair was judged")
    k, n, interval = _accuracy(measured, limits.level)
    rate = k / n
    longest = _accuracy([_longest(one) for one in measured], limits.level)[0] / n
    result: Result = "undecided"
    if interval.hi < limits.pair_accuracy:
        result = "fail"
    elif len(measured) >= limits.min_pairs and rate >= limits.pair_accuracy and interval.lo > 0.5:
        result = "pass"
    end = {"pass": "", "fail": ", too few", "undecided": ", which is too few pairs or too close to tell"}[
        result
    ]
    why = (
        f"puts {percent(rate)} of {worth(len(measured), n)} GOOD and BAD pairs right, in both orders "
        f"({span(interval)}, at least {percent(limits.pair_accuracy)}){end}; "
        f"always the longest: {percent(longest)}"
    )
    return Criterion(
        "pairs",
        result,
        why,
        rate,
        interval,
        len(measured),
        {"always_longest": longest, "independent_pairs": n},
    )


def longest_criterion(verdicts: Sequence[PairVerdict], limits: Limits) -> Criterion:
    """Is the judge right where "the longer answer wins" is wrong?"""
    measured = [one for one in verdicts if one.measured]
    against = [one for one in measured if length(one.pair.good) < length(one.pair.bad)]
    if not measured:
        return unmeasured("longest", "no pair was judged")
    if not against:
        return unmeasured(
            "longest", "in no pair is the longer answer the worse one: length alone would do as well"
        )
    k, n, interval = _accuracy(against, limits.level)
    result: Result = "fail" if interval.hi < 0.5 else "pass" if interval.lo > 0.5 else "undecided"
    telling = {
        "pass": "more than a coin",
        "fail": "length decides",
        "undecided": "too few to tell it from length",
    }
    why = (
        f"where the longer answer is the worse one, it is right in {percent(k / n)} of "
        f"{worth(len(against), n)} pairs ({span(interval)}): {telling[result]}"
    )
    return Criterion("longest", result, why, k / n, interval, len(against), {"independent_pairs": n})


def label_criterion(errors: JudgeErrors, limits: Limits, *, pairwise: bool = False) -> Criterion:
    """Enough human labels, and a judge that is clearly better than chance on them."""
    name = "labels"
    if pairwise:
        return unmeasured(
            name, "the judge compares answers and has no verdict on one alone, so no rate to correct"
        )
    if errors.n == 0:
        return unmeasured(name, "no human label: rates are uncalibrated")
    youden = errors.youden(limits.level)
    if youden is None:
        kind = "good" if not errors.good else "bad"
        told = f"none of {errors.labels} human-labelled answers is {kind}"
        return Criterion(name, "undecided", told, n=errors.labels)
    value, interval = youden
    assert errors.sensitivity is not None and errors.specificity is not None
    told = (
        f"passes {percent(errors.sensitivity)} of {errors.good:.0f} good answers "
        f"({span(errors.sensitivity_interval(limits.level))}) and fails {percent(errors.specificity)} of "
        f"{errors.bad:.0f} bad ones ({span(errors.specificity_interval(limits.level))})"
    )
    if errors.labels > errors.n + 0.5:
        told += f"; {errors.labels} labels that share conversations are worth {errors.n:.0f}"
    result: Result = "pass"
    if interval.lo <= 0:
        result = "fail" if errors.n >= limits.min_labels else "undecided"
        told += "; not clearly better than chance"
    elif errors.n < limits.min_labels:
        result = "undecided"
    if errors.n < limits.min_labels:
        told += f"; uncalibrated: {int(errors.n)} labels of {limits.min_labels}"
    return Criterion(
        name, result, told, value, interval, errors.labels, {"independent_labels": round(errors.n, 2)}
    )


def _accuracy(verdicts: Sequence[PairVerdict], level: float) -> tuple[float, float, Interval]:
    """Right ones of as many independent pairs as they are worth: pairs of one comparison are alike."""
    k, n = effective_counts(by_cluster((one.pair.cluster, float(one.right)) for one in verdicts))
    return k, n, wilson(k, n, level)


def _longest(one: PairVerdict) -> PairVerdict:
    """The same pair as "the longer answer wins" decides it; equal lengths are a tie."""
    good, bad = length(one.pair.good), length(one.pair.bad)
    side = "good" if good > bad else "bad" if bad > good else "tie"
    return replace(one, first=side, second=side)


def _named(said: Said, first: str, second: str) -> str | None:
    return None if said.side is None else {"first": first, "second": second, "tie": "tie"}[said.side]
