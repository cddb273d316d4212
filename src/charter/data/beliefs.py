"""Rows of group-distributional preference data: what people believe, and answers judged under a belief.

A row ``{prompt, beliefs: [K texts], p_star: [K], belief: index, chosen, rejected}`` becomes one
group: its answers, each with the belief written before it, and the K beliefs by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from typing import Any

from charter.catalogue.pluralistic import BELIEF, P_STAR
from charter.data.columns import items, numbers, require
from charter.data.formats import LoadedData
from charter.data.rows import Row
from charter.errors import DataError
from charter.progress import say
from charter.types import Completion, Content, Group, Judgement, Message, PairTarget, Sample, SampleTarget

_TOLERANCE = 1e-3
"""How far from 1 the shares may sum; they are divided by their sum."""


def with_beliefs(loaded: LoadedData, options: Any) -> LoadedData:
    """Put the beliefs of each row into its group, and the row's own belief before its answers.

    Args:
        loaded: preference data whose rows also have ``beliefs``, ``p_star`` and ``belief``.
        options: ``belief_suffix`` stands between belief and answer.

    Raises:
        DataError: a row without those columns, or with values that make no sense.
    """
    made = tuple(_with_beliefs(group, options.belief_suffix) for group in loaded.groups)
    return replace(loaded, groups=made)


def split_beliefs(groups: Sequence[Group], options: Any) -> tuple[Group, ...]:
    """Rendered groups with the belief moved from the answers' completion to their context.

    The belief's tokens, without the end of the turn, are what the belief samples keep. They are
    found by comparing ids, so the answer continues exactly the tokens that are calibrated.

    Raises:
        DataError: the tokenizer joins a belief with the answer after it; a belief begins like another.
    """
    tail = _tail(groups)
    made = [_split(group, tail) for group in groups]
    kept = tuple(group for group in made if group is not None)
    if len(kept) < len(made):
        say(f"data: {len(made) - len(kept)} dropped: no answer left after its belief (truncated)")
    if not kept:
        raise DataError("no answer is left after its belief", fix="raise max_length")
    return kept


def _with_beliefs(group: Group, suffix: str) -> Group:
    row = Row(group.meta, group.source)
    texts, shares, held = _columns(row)
    answers = tuple(
        replace(
            s, completion=replace(s.completion, content=_after(texts[held] + suffix, s.completion.content))
        )
        for s in group.samples
    )
    context = group.samples[0].context
    beliefs = tuple(Sample(context, Completion(_like(answers[0], text + suffix))) for text in texts)
    pairs = tuple(said for said in group.judgements if isinstance(said.target, PairTarget))
    weight = pairs[0].weight if pairs else 1.0
    said = []
    for index, share in enumerate(shares):
        target = SampleTarget(len(answers) + index)
        said.append(Judgement(target, share, principle=P_STAR, weight=weight))
        said.append(Judgement(target, float(index == held), principle=BELIEF, weight=weight))
    return replace(group, samples=answers + beliefs, judgements=(*pairs, *said))


def _columns(row: Row) -> tuple[list[str], list[float], int]:
    """Beliefs, shares that sum to 1, and the index of the row's own belief."""
    _, values = items(row, "beliefs")
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if len(texts) < len(values) or len(set(texts)) < len(texts) or len(texts) < 2:
        raise DataError("'beliefs' is not two or more different texts", where=row.source)
    shares = numbers(row, "p_star", len(texts))
    total = sum(shares)
    if min(shares) < 0 or abs(total - 1) > _TOLERANCE:
        raise DataError(
            f"'p_star' is no distribution: it sums to {total:g}",
            where=row.source,
            fix="shares of people, each at least 0, that sum to 1 (divide counts by their sum)",
        )
    held = require(row, "belief")[1]
    if isinstance(held, bool) or not isinstance(held, int) or not 0 <= held < len(texts):
        raise DataError(f"'belief' is {held!r}, wanted an index from 0 to {len(texts) - 1}", where=row.source)
    return texts, [share / total for share in shares], held


def _after(belief: str, content: Content) -> Content:
    """``content`` with ``belief`` at the beginning of its first turn."""
    if isinstance(content, str):
        return belief + content
    return (Message(content[0].role, belief + content[0].content), *content[1:])


def _like(sample: Sample, text: str) -> Content:
    """``text`` as a completion of the sample's kind: plain, or an assistant turn."""
    return text if isinstance(sample.completion.content, str) else (Message("assistant", text),)


def _tail(groups: Sequence[Group]) -> int:
    """Tokens that end every completion which was not cut: the end of the turn."""
    whole = [
        sample.completion.token_ids
        for group in groups
        for sample in group.samples
        if sample.completion.finish_reason != "length"
    ]
    return len(reduce(_common_end, whole)) if whole else 0


def _common_end(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return one[len(one) - length :]


def _split(group: Group, tail: int) -> Group | None:
    index_of = {
        said.target.sample: said.value
        for said in group.judgements
        if isinstance(said.target, SampleTarget) and said.principle == BELIEF
    }
    beliefs = {i: _first(group.samples[i], tail) for i in index_of}
    _refuse_beginnings(group, list(beliefs.values()))
    held = next(beliefs[i] for i, value in index_of.items() if value == 1.0)
    samples = []
    for i, sample in enumerate(group.samples):
        moved = beliefs[i] if i in beliefs else _moved(sample, held.completion.token_ids, group.source)
        if moved is None:
            return None
        samples.append(moved)
    return replace(group, samples=tuple(samples))


def _first(sample: Sample, tail: int) -> Sample:
    """A belief without the end of its turn."""
    done = sample.completion
    keep = len(done.token_ids) - (0 if done.finish_reason == "length" else tail)
    short = replace(done, token_ids=done.token_ids[:keep], trained=done.trained[:keep])
    return replace(sample, completion=short)


def _moved(sample: Sample, belief: tuple[int, ...], where: str) -> Sample | None:
    """An answer whose belief is context; None where truncation left nothing of it."""
    ids, count = sample.completion.token_ids, len(belief)
    if ids[:count] != belief:
        raise DataError(
            "the tokens of the belief are no beginning of the tokens of belief and answer",
            where=where,
            fix="give belief_suffix another text, one the tokenizer does not join with the answer",
        )
    if not any(sample.completion.trained[count:]):
        return None
    context = replace(sample.context, token_ids=sample.context.token_ids + belief)
    completion = replace(sample.completion, token_ids=ids[count:], trained=sample.completion.trained[count:])
    return replace(sample, context=context, completion=completion)


def _refuse_beginnings(group: Group, beliefs: Sequence[Sample]) -> None:
    """Texts of which one begins another do not exclude each other: their probabilities are no shares."""
    ids = sorted(sample.completion.token_ids for sample in beliefs)
    for one, other in pairwise(ids):
        if other[: len(one)] == one:
            raise DataError(
                "one belief is the beginning of another",
                where=group.source,
                fix="set belief_suffix, for instance to a line break, or write the beliefs differently",
            )
