"""Answers from a file: samples, judged samples, or rows with answers; none to a test of the constitution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.types import Group, Judgement

TEST = "prompts that are a test of the constitution"
EMPTY = "empty answers"
TIE = "comparisons that nobody won"
AGAIN = "answers that lost before on the same principle"
ALONE = "prompts with a single answer"


@dataclass(frozen=True)
class Answers:
    """Answers, and what was left out.

    Attributes:
        groups: with one answer or more each.
        left_out: how many, by reason.
    """

    groups: tuple[Group, ...]
    left_out: Counter[str]


def read_answers(source: str, constitution: Constitution) -> Answers:
    """Answers to prompts that are no test of the constitution: what is trained on must not be measured with.

    Args:
        source: what ``charter sample --output`` or ``charter judge --output`` wrote, or rows with answers.
        constitution: has the tests.

    Raises:
        DataError: no such file, a mistake in it, prompts without answers, or nothing but tests.
    """
    from charter.data.formats import load_groups
    from charter.errors import DataError
    from charter.feedback.revising.near_duplicates import normalised
    from charter.records import is_groups_file, read_groups

    if is_groups_file(source):
        from pathlib import Path

        groups = tuple(read_groups(Path(source)))
    else:
        loaded = load_groups(source)
        if loaded.kind in ("prompts", "steps", "text"):
            raise DataError(
                f"these are {loaded.kind}, wanted answers to prompts",
                where=source,
                fix="make answers with `charter sample --output`, or give rows with answers",
            )
        groups = loaded.groups
    tests = {normalised(text) for text in constitution.test_prompts()}
    kept = tuple(one for one in groups if normalised(one.samples[0].context.text) not in tests)
    if not kept:
        raise DataError(
            f"{len(groups)} prompts, all of them tests of the constitution" if groups else "no answers",
            where=source,
            fix="what is measured with is never trained on: answer other prompts",
        )
    return Answers(kept, Counter({TEST: len(groups) - len(kept)}))


def losing(answers: Answers) -> Answers:
    """A group for each answer that lost: the worse of a judged pair, or an answer that nobody compared."""
    left_out, found = Counter(answers.left_out), []
    for group in answers.groups:
        mine, more = _losing(group)
        found += mine
        left_out += more
    return Answers(tuple(found), left_out)


def several(answers: Answers) -> Answers:
    """The groups with two answers or more."""
    kept = tuple(one for one in answers.groups if len(one.samples) > 1)
    alone = Counter({ALONE: len(answers.groups) - len(kept)})
    return Answers(kept, answers.left_out + alone)


def _losing(group: Group) -> tuple[list[Group], Counter[str]]:
    from charter.types import PairTarget

    left_out: Counter[str] = Counter()
    said = [one for one in group.judgements if isinstance(one.target, PairTarget) and one.value is not None]
    if not said:
        full = [i for i, sample in enumerate(group.samples) if sample.completion.text.strip()]
        left_out[EMPTY] = len(group.samples) - len(full)
        return [_part(group, (index,), ()) for index in full], left_out
    found: dict[tuple[int, str], Group] = {}
    for one in said:
        assert isinstance(one.target, PairTarget)
        if one.value == 0 or one.probability == 0.5:
            left_out[TIE] += 1
            continue
        turned = one.probability is not None and one.probability < 0.5
        pair = (one.target.better, one.target.worse)
        loser = pair[0] if turned else pair[1]
        if not group.samples[loser].completion.text.strip():
            left_out[EMPTY] += 1
        elif (loser, one.principle) in found:
            left_out[AGAIN] += 1
        else:
            found[loser, one.principle] = _part(group, pair, (replace(one, target=PairTarget(0, 1)),))
    return list(found.values()), left_out


def _part(group: Group, samples: tuple[int, ...], said: Sequence[Judgement]) -> Group:
    whole = len(samples) == len(group.samples) and len(group.judgements) < 2
    id = group.id if whole else "#".join([group.id, "-".join(map(str, samples))])
    if said and said[0].principle and not whole:
        id = f"{id}:{said[0].principle}"
    return replace(group, samples=tuple(group.samples[at] for at in samples), judgements=tuple(said), id=id)
