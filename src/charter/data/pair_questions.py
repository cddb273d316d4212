"""Questions about two answers, in both orders, with or without reasons."""

from __future__ import annotations

import re
from collections.abc import Iterator

from charter.data.questions import Question, about_pair, verdict_reply
from charter.errors import DataError
from charter.types import Group, Judgement, PairTarget, Sample, SampleTarget

_NAMES_A_SIDE = re.compile(r"\b(?:response|answer|assistant|option)\s+\(?[AB]\b", re.IGNORECASE)


def pair_questions(group: Group, question: Question, rationale: str = "") -> Iterator[Group]:
    """Both orders of every judged pair of ``group``; the verdict names the better answer.

    A soft pair (``probability``) asks for both verdicts, weighted. In the column ``rationale``
    the answers are named ``{chosen}`` and ``{rejected}``, which become A and B.

    Raises:
        DataError: a rationale names its sides A and B, so that it cannot be turned round.
    """
    reasons = str(group.meta.get(rationale) or "") if rationale else ""
    if _NAMES_A_SIDE.search(reasons):
        raise DataError(
            f"{rationale!r} names the answers by letter, but both orders are asked",
            where=group.source,
            fix="write {chosen} and {rejected} where it names them",
        )
    number = 0
    for said in group.judgements:
        if isinstance(said.target, PairTarget) and said.value is not None:
            for swapped in (False, True):
                yield from _ordered(group, said, question, reasons, swapped, number)
            number += 1


def _ordered(
    group: Group, said: Judgement, question: Question, reasons: str, swapped: bool, number: int
) -> Iterator[Group]:
    assert isinstance(said.target, PairTarget)
    better, worse = group.samples[said.target.better], group.samples[said.target.worse]
    first, second = (worse, better) if swapped else (better, worse)
    context = about_pair(
        better.context.content,
        first.completion.content,
        second.completion.content,
        question.think if reasons else question.ask,
    )
    better_word, worse_word = reversed(question.words) if swapped else question.words
    text = reasons.replace("{chosen}", better_word).replace("{rejected}", worse_word)
    sure = 1.0 if said.probability is None else said.probability
    for word, weight in ((better_word, sure), (worse_word, 1.0 - sure)):
        # Reasons speak for the better answer: they cannot lead to the other verdict.
        if weight and not (text and word == worse_word):
            yield Group(
                samples=(Sample(context, verdict_reply(context, question, word, text)),),
                judgements=(
                    Judgement(
                        SampleTarget(0),
                        1.0,
                        principle=said.principle,
                        principle_sha=said.principle_sha,
                        judge=said.judge,
                        weight=said.weight * weight,
                    ),
                ),
                id=f"{group.id}:{number}:{'swapped' if swapped else 'given'}:{word}",
                source=group.source,
                meta={**group.meta, "verdict": word, "reasons": bool(text), "swapped": swapped},
            )
