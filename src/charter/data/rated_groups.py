"""Formats of several answers, or several scores: rankings, ratings, attributes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

from charter.data.columns import as_content, items, numbers, require
from charter.data.group_parts import (
    Built,
    group_of,
    judgement_of,
    named_scores,
    prompt_of,
    responses_of,
    sample_of,
)
from charter.data.rows import Row
from charter.errors import DataError
from charter.types import Judgement, PairTarget, SampleTarget


def ranked(row: Row) -> Built:
    """``responses`` and ``ranks`` (1 is best, ties allowed): a judgement for each ordered pair."""
    name, samples = responses_of(row)
    ranks = numbers(row, "ranks", len(samples))
    said = [
        judgement_of(row, PairTarget(better, worse), 1.0)
        for better, worse in permutations(range(len(ranks)), 2)
        if ranks[better] < ranks[worse]
    ]
    return Built((group_of(row, samples, said, used={"prompt", name, "ranks"}),))


def rated(row: Row, *, as_pairs: bool) -> Built:
    """``responses`` and ``scores`` (higher is better): a score each, and on request the pairs."""
    name, samples = responses_of(row)
    scores = numbers(row, "scores", len(samples))
    said = [judgement_of(row, SampleTarget(i), score) for i, score in enumerate(scores)]
    if as_pairs:
        said += [
            judgement_of(row, PairTarget(better, worse), scores[better] - scores[worse])
            for better, worse in permutations(range(len(scores)), 2)
            if scores[better] > scores[worse]
        ]
    return Built((group_of(row, samples, said, used={"prompt", name, "scores"}),))


def attributes(row: Row) -> Built:
    """``response`` or ``completion`` and ``scores`` ``{name: number or null}``: a rating on each dimension.

    Several ``responses`` have a list of such scores; plain numbers rate one dimension without a name.
    """
    if any(name in row.values for name in ("responses", "completions")):
        name, samples = responses_of(row)
        _, scores = items(row, "scores")
        if len(scores) != len(samples):
            found = f"'scores' has {len(scores)} entries for {len(samples)} responses"
            raise DataError(found, where=row.source, fix="one entry for each response")
        columns = [f"scores[{number}]" for number in range(1, len(scores) + 1)]
    else:
        name, answer = require(row, "response", "completion")
        samples = [sample_of(prompt_of(row), as_content(answer, where=row.source, column=name), row, name)]
        scores, columns = [require(row, "scores")[1]], ["scores"]
    said: list[Judgement] = []
    for index, (score, column) in enumerate(zip(scores, columns, strict=True)):
        named = score if isinstance(score, Mapping) or score is None else {"": score}
        said += named_scores(row, named, column, index)
    if not said:
        raise DataError("no attribute has a score", where=row.source, fix="rate one or remove the row")
    return Built((group_of(row, samples, said, used={"prompt", name, "scores"}),))
