"""Which items to label next: like the rest, and of every stratum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import DataError
from charter.feedback.people.hashed_words import hashed_words
from charter.label import Label
from charter.rundir import read_jsonl
from charter.stats.raters.selection import select

MOST = 20_000
"""Items of which all similarities are held at once: 20,000 take 3.2 GB."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that may be labelled."""

    item: str
    features: tuple[float, ...]
    stratum: str = ""


def read_candidates(path: Path) -> list[Candidate]:
    """One ``{"item", "text" or "features", "stratum"}`` a line.

    Without features the words of the text are counted (hashed, square roots), which tells subjects apart and
    nothing finer.

    Raises:
        DataError: no such file, none in it, a line that is none, or features of different lengths.
    """
    if not path.is_file():
        raise DataError("no such file", where=str(path))
    found: list[Candidate] = []
    for number, row in enumerate(read_jsonl(path), start=1):
        where = f"{path}:{number}"
        if not isinstance(row, dict) or not isinstance(row.get("item"), str):
            raise DataError("a line names its item", where=where, fix='write {"item": "i1", "text": "..."}')
        found.append(Candidate(row["item"], _features(row, where), str(row.get("stratum", ""))))
    if not found:
        raise DataError("no items", where=str(path))
    if len({len(one.features) for one in found}) > 1:
        raise DataError("features of different lengths", where=str(path))
    if len({one.item for one in found}) < len(found):
        raise DataError("an item stands twice", where=str(path))
    if len(found) > MOST:
        raise DataError(
            f"{len(found)} items; at most {MOST} can be compared", where=str(path), fix="draw some"
        )
    return found


def next_items(
    candidates: Sequence[Candidate], many: int, labels: Sequence[Label], *, seed: int = 0
) -> dict[str, Any]:
    """The items to label next, and how well the labelled ones then stand for all."""
    import numpy as np

    place = {one.item: i for i, one in enumerate(candidates)}
    labelled = [place[item] for item in dict.fromkeys(one.item for one in labels) if item in place]
    features = np.array([one.features for one in candidates], dtype=np.float64)
    strata = [one.stratum for one in candidates]
    found = select(features, many, labelled=labelled, strata=strata, seed=seed)
    return {
        "items": [candidates[i].item for i in found.chosen],
        "candidates": len(candidates),
        "labelled": len(labelled),
        "coverage_before": found.before,
        "coverage": found.coverage[-1] if found.coverage else found.before,
        "coverage_at_random": found.at_random,
        "farthest": found.farthest,
        "strata": {name: sum(strata[i] == name for i in found.chosen) for name in dict.fromkeys(strata)},
    }


def _features(row: dict[str, Any], where: str) -> tuple[float, ...]:
    given = row.get("features")
    if given is not None:
        fine = (
            isinstance(given, list)
            and given
            and all(
                isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in given
            )
        )
        if not fine:
            raise DataError("features are a list of finite numbers", where=where)
        return tuple(float(x) for x in given)
    if not isinstance(row.get("text"), str):
        raise DataError("neither text nor features", where=where)
    return hashed_words(row["text"])
