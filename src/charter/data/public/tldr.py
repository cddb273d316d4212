"""Summaries compared or rated by workers (TL;DR, 2009.01325).

Comparisons: ``info``, two ``summaries``, ``choice`` (0 or 1), ``worker``, ``extra.confidence``.
Ratings: ``info``, ``summary`` with ``axes``. The scale of ``confidence`` is not written down beside the
data, so it is kept as it is and makes no margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.data.columns import items, require
from charter.data.public.parts import answered, asked, filled, item_of, label_of_row, pair_row, whole
from charter.data.public.schema import PublicRow, PublicSet, has
from charter.data.rows import Row
from charter.errors import DataError

SCALE = (1.0, 7.0)
"""Of each axis."""


def _fits_pair(values: Mapping[str, Any]) -> bool:
    return has(values, "info", "summaries", "choice")


def _fits_axes(values: Mapping[str, Any]) -> bool:
    summary = values.get("summary")
    return "info" in values and isinstance(summary, Mapping) and "axes" in summary


def _read_pair(row: Row) -> PublicRow:
    prompt = _prompt(row)
    _, given = items(row, "summaries")
    if len(given) != 2:
        raise DataError(f"{len(given)} summaries, wanted two", where=row.source)
    both = [_inside(one, f"{row.source}: summaries[{n}]") for n, one in enumerate(given, start=1)]
    answers = tuple(filled(one, "text") for one in both)
    value = 1 if whole(row, "choice", 0, 1) == 0 else -1
    extra = row.values.get("extra")
    sure = extra.get("confidence") if isinstance(extra, Mapping) else None
    meta = {"batch": row.values.get("batch"), "split": row.values.get("split"), "confidence": sure}
    label = label_of_row(
        row,
        "tldr",
        item=item_of(prompt, *answers),
        rater=str(row.values.get("worker") or "tldr"),
        kind="pair",
        value=value,
        prompt=prompt,
        answers=answers,
        models=tuple(str(one.values.get("policy") or "") for one in both),
        meta={name: one for name, one in meta.items() if one is not None},
    )
    return PublicRow((label,), {"preference": (pair_row(prompt, answers, value),)})


def _read_axes(row: Row) -> PublicRow:
    prompt = _prompt(row)
    summary = _inside(require(row, "summary")[1], f"{row.source}: summary")
    answer, axes = filled(summary, "text"), require(summary, "axes")[1]
    if not isinstance(axes, Mapping):
        raise DataError("'axes' is not {name: number}", where=summary.source)
    scores = {str(name): value for name, value in axes.items() if value is not None}
    if not scores:
        raise DataError("no axis is rated", where=row.source)
    labels = tuple(
        label_of_row(
            row,
            "tldr",
            name,
            item=item_of(prompt, answer),
            rater=str(row.values.get("worker") or "tldr"),
            kind="rating",
            value=value,
            scale=SCALE,
            principle=name,
            prompt=prompt,
            answers=(answer,),
            models=(str(summary.values.get("policy") or ""),),
        )
        for name, value in scores.items()
    )
    made = {"prompt": asked(prompt), "completion": answered(answer), "scores": scores}
    return PublicRow(labels, {"attributes": (made,)})


def _prompt(row: Row) -> str:
    """The post as its summaries were asked for; a news article as it is."""
    info = _inside(require(row, "info")[1], f"{row.source}: info")
    title = str(info.values.get("title") or "")
    if info.values.get("article"):
        return f"{title}\n\n{filled(info, 'article')}\n\nTL;DR:".lstrip()
    head = [f"SUBREDDIT: r/{info.values['subreddit']}"] if info.values.get("subreddit") else []
    head += [f"TITLE: {title}"] if title else []
    return "\n\n".join([*head, f"POST: {filled(info, 'post')}", "TL;DR:"])


def _inside(value: Any, where: str) -> Row:
    if not isinstance(value, Mapping):
        raise DataError(f"{type(value).__name__}, wanted an object", where=where)
    return Row(value, where)


TLDR = PublicSet("tldr", "compared summaries (2009.01325)", _fits_pair, _read_pair)
TLDR_AXES = PublicSet("tldr-axes", "summaries rated on axes (2009.01325)", _fits_axes, _read_axes)
