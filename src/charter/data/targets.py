"""Preference rows that also name an answer to imitate: SLiC-HF's regularisation target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from charter.data.columns import as_content, require
from charter.data.formats import LoadedData
from charter.data.rows import Row
from charter.errors import DataError
from charter.types import Completion, Group, Judgement, PairTarget, Sample, SampleTarget

COLUMN = "target"


def with_target(loaded: LoadedData, options: Any) -> LoadedData:
    """With ``options.nll_target == "target"``: the column ``target`` of each row as a marked sample.

    Raises:
        DataError: a row without it, or with one of another kind than the answers.
    """
    if options.nll_target != "target":
        return loaded
    return replace(loaded, groups=tuple(_with_target(group) for group in loaded.groups))


def _with_target(group: Group) -> Group:
    row = Row(group.meta, group.source)
    content = as_content(require(row, COLUMN)[1], where=row.source, column=COLUMN)
    if isinstance(content, str) != isinstance(group.samples[0].completion.content, str):
        raise DataError(
            f"{COLUMN!r} and the answers are not both text or both turns",
            where=row.source,
            fix="write both as text, or both as [{role, content}]",
        )
    pairs = tuple(said for said in group.judgements if isinstance(said.target, PairTarget))
    sample = Sample(group.samples[0].context, Completion(content))
    mark = Judgement(SampleTarget(len(group.samples)), 1.0, weight=pairs[0].weight if pairs else 1.0)
    return replace(group, samples=(*group.samples, sample), judgements=(*pairs, mark))
