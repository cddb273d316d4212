"""Rows for generative judges: the question becomes the prompt, the verdict the answer.

Each function is an entry's ``rows``: it takes the loaded data and the options and gives the
groups trained on. Plain negative log-likelihood on them is the whole method.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from charter.catalogue.generative import GenRMOptions, GenRMPairwiseOptions, PairwiseOptions, VerdictOptions
from charter.data.formats import LoadedData
from charter.data.pair_questions import pair_questions
from charter.data.questions import BETTER, Question, about_answer, verdict_reply
from charter.errors import DataError
from charter.types import Group, Judgement, Sample, SampleTarget

VERIFY, GENERATE = "verify", "generate"
"""Parts of the data: questions about answers, and correct answers to imitate."""

REASONS = "critique"
"""Column with the reasons for a verdict about one answer."""


def genrm_rows(loaded: LoadedData, options: GenRMOptions) -> LoadedData:
    """Labelled answers as questions (part ``verify``) and right answers as they are (part ``generate``).

    With a ``critique`` column the verdict follows the critique (GenRM-CoT).

    Raises:
        DataError: only some rows have a critique.
    """
    question = question_of(options)
    groups, dropped = _balanced(loaded.groups, options.seed) if options.balance else (loaded.groups, 0)
    with_reasons(groups, REASONS)
    asked = [one for group in groups for one in _about_answer(group, question, VERIFY)]
    right = [group for group in groups if share(group) == 1.0] if options.lambda_sft else []
    imitated = [replace(group, part=GENERATE, id=f"{group.id}:{GENERATE}") for group in right]
    counts = {
        **loaded.counts,
        "rows left out to have as many right answers as wrong ones": dropped,
        "questions about answers": len(asked),
        "right answers to imitate": len(imitated),
    }
    return replace(loaded, groups=(*asked, *imitated), counts=counts)


def pointwise_rows(loaded: LoadedData, options: VerdictOptions) -> LoadedData:
    """Labelled answers as questions with a one-word verdict."""
    question = question_of(options)
    asked = tuple(one for group in loaded.groups for one in _about_answer(group, question, "", reasons=False))
    return replace(loaded, groups=asked, counts={**loaded.counts, "questions about answers": len(asked)})


def pairwise_rows(loaded: LoadedData, options: PairwiseOptions) -> LoadedData:
    """Pairs as questions, each in both orders; a ``rationale`` column comes before the verdict.

    Raises:
        DataError: see :func:`charter.data.pair_questions.pair_questions`.
    """
    question = question_of(options)
    column = "rationale" if isinstance(options, GenRMPairwiseOptions) and options.use_rationales else ""
    if column:
        with_reasons(loaded.groups, column)
    asked = tuple(one for group in loaded.groups for one in pair_questions(group, question, column))
    return replace(loaded, groups=asked, counts={**loaded.counts, "questions about pairs": len(asked)})


def question_of(options: VerdictOptions | PairwiseOptions) -> Question:
    """The question as the options word it."""
    if isinstance(options, VerdictOptions):
        return Question(options.question, options.positive, options.negative)
    return replace(BETTER, ask=options.question)


def share(group: Group) -> float:
    """How sure it is that the group's one answer is right, 0 to 1: the mean of its labels by their weights.

    Raises:
        DataError: nothing was said about the answer, or nothing that counts.
    """
    labels = [(_sure(said), said.weight) for said in group.judgements if _is_label(said)]
    total = sum(weight for _, weight in labels)
    if not total:
        raise DataError("the answer has no label", where=group.source)
    return sum(sure * weight for sure, weight in labels) / total


def _is_label(said: Judgement) -> bool:
    return isinstance(said.target, SampleTarget) and said.value is not None


def _sure(said: Judgement) -> float:
    sure = 1.0 if said.probability is None else said.probability
    assert said.value is not None
    return sure if said.value > 0 else 1.0 - sure


def with_reasons(groups: Sequence[Group], column: str) -> bool:
    """Whether the groups have reasons.

    Raises:
        DataError: only some of them have, or one is no text.
    """
    lacking = [group for group in groups if not group.meta.get(column)]
    if lacking and len(lacking) < len(groups):
        raise DataError(
            f"{len(lacking)} of {len(groups)} rows have no {column!r}",
            where=lacking[0].source,
            fix="give every row one, or leave the column out",
        )
    for group in groups:
        if not isinstance(group.meta.get(column, ""), str):
            raise DataError(f"{column!r} is no text", where=group.source)
    return not lacking


def _about_answer(group: Group, question: Question, part: str, *, reasons: bool = True) -> Iterator[Group]:
    """One question for each verdict that the label gives weight to."""
    (sample,) = group.samples
    critique = str(group.meta.get(REASONS) or "") if reasons else ""
    ask = question.think if critique else question.ask
    context = about_answer(sample.context.content, sample.completion.content, ask)
    right = share(group)
    for word, weight in zip(question.words, (right, 1.0 - right), strict=True):
        if weight:
            said = tuple(
                replace(one, probability=None, weight=one.weight * weight) for one in group.judgements
            )
            answer = verdict_reply(context, question, word, critique)
            yield replace(
                group,
                samples=(Sample(context, answer),),
                judgements=said,
                id=f"{group.id}:{word}",
                part=part,
                meta={**group.meta, "verdict": word, "reasons": bool(critique)},
            )


def _balanced(groups: Sequence[Group], seed: int) -> tuple[tuple[Group, ...], int]:
    """As many right answers as wrong ones; the others of the commoner kind are left out."""
    kinds = [share(group) >= 0.5 for group in groups]
    sizes = Counter(kinds)
    if len(sizes) < 2:
        raise DataError("balance needs both right and wrong answers", fix="leave balance off")
    keep = min(sizes.values())
    generator = random.Random(seed)
    chosen = {
        place
        for kind in (True, False)
        for place in generator.sample([i for i, one in enumerate(kinds) if one is kind], keep)
    }
    return tuple(group for i, group in enumerate(groups) if i in chosen), len(groups) - 2 * keep
