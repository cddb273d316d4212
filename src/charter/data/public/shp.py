"""Reddit answers by their votes (SHP, 2110.08420): ``labels`` is 1 where A is preferred.

How sure a preference is comes from the votes of the two answers: the better one's share of their sum.
``upvote_ratio`` is about the post, not about its answers, and is kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.data.public.parts import filled, item_of, label_of_row, number, pair_row, whole
from charter.data.public.schema import PublicRow, PublicSet, has
from charter.data.rows import Row

_KEPT = ("post_id", "domain", "upvote_ratio", "score_A", "score_B", "score_ratio", "seconds_difference")


def share_of_votes(better: float, worse: float) -> float | None:
    """The better answer's share of both scores; None where a score is not above 0."""
    return better / (better + worse) if better > 0 and worse > 0 else None


def _fits(values: Mapping[str, Any]) -> bool:
    return has(values, "history", "human_ref_A", "human_ref_B", "labels", "score_A", "score_B")


def _read(row: Row) -> PublicRow:
    prompt = filled(row, "history")
    answers = (filled(row, "human_ref_A"), filled(row, "human_ref_B"))
    first = whole(row, "labels", 0, 1) == 1
    scores = number(row, "score_A"), number(row, "score_B")
    sure = share_of_votes(*(scores if first else scores[::-1]))
    kept = {name: row.values[name] for name in _KEPT if row.values.get(name) is not None}
    label = label_of_row(
        row,
        "shp",
        item=item_of(prompt, *answers),
        rater="reddit",
        kind="pair",
        value=1 if first else -1,
        prompt=prompt,
        answers=answers,
        meta={**kept, **({} if sure is None else {"probability": sure}), "rater_known": False},
    )
    more = {} if sure is None else {"probability": sure}
    return PublicRow((label,), {"preference": (pair_row(prompt, answers, label.value, **more),)})


SHP = PublicSet("shp", "answers by their votes (SHP, 2110.08420)", _fits, _read)
