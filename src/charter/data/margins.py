"""By how much the better answer of a pair should win: numbers of the data, or a published set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from charter.data.formats import LoadedData
from charter.data.rankings import compared
from charter.errors import DataError, did_you_mean
from charter.types import Group, Judgement, PairTarget, SampleTarget

STRENGTH = "strength"
"""The column that says in words how much better the chosen answer is."""

STRENGTHS = ("significantly better", "better", "slightly better", "negligibly better")
"""What Llama 2's annotators chose from; the last also covers "unsure"."""

MARGIN_SETS: Mapping[str, Mapping[str, float]] = {
    "small": dict(zip(STRENGTHS, (1.0, 2 / 3, 1 / 3, 0.0), strict=True)),
    "large": dict(zip(STRENGTHS, (3.0, 2.0, 1.0, 0.0), strict=True)),
}
"""The two sets of Llama 2 (2307.09288, appendix A.3.3)."""

_SAME_AS = {"unsure": STRENGTHS[3], "negligibly better / unsure": STRENGTHS[3]}
UNUSED = "rows whose margin is not used (use_margin is off)"
_NO_MARGIN = 'give each row a "margin", a number of at least 0'


def for_rewards(loaded: LoadedData, options: Any) -> LoadedData:
    """Pairs as they are; with ``use_margin`` after checking that every pair has a margin.

    Raises:
        DataError: a pair without one, or nothing is compared.
    """
    loaded = compared(loaded, options)
    if options.use_margin:
        return _checked(loaded)
    unused = sum("margin" in group.meta for group in loaded.groups)
    return replace(loaded, counts={**loaded.counts, UNUSED: unused})


def with_margins(loaded: LoadedData, options: Any) -> LoadedData:
    """Pairs with the margins of ``margin_set``, or with those of the data where it is None.

    Raises:
        DataError: a pair without a margin, or without a strength in words.
    """
    loaded = compared(loaded, options)
    if options.margin_set is None:
        return _checked(loaded)
    margins = MARGIN_SETS[options.margin_set]
    return replace(loaded, groups=tuple(_by_strength(group, margins) for group in loaded.groups))


def _checked(loaded: LoadedData) -> LoadedData:
    for group in loaded.groups:
        if "margin" not in group.meta and not _from_scores(group):
            raise DataError("a pair without a margin", where=group.source, fix=_NO_MARGIN)
        if group.meta.get("margin", 0.0) < 0:
            raise DataError("a margin below 0", where=group.source, fix=_NO_MARGIN)
    return loaded


def _from_scores(group: Group) -> bool:
    """Whether the margin of every pair is the difference of its answers' scores, as in rated rows.

    Scores alone do not tell: a preference row may hold scores on other objectives, and its pair then
    has no margin but the 1 that stands for none.
    """
    score = {
        (said.target.sample, said.principle): said.value
        for said in group.judgements
        if isinstance(said.target, SampleTarget)
    }
    for said in group.judgements:
        if isinstance(said.target, PairTarget) and said.value is not None:
            better, worse = (score.get((i, said.principle)) for i in (said.target.better, said.target.worse))
            if better is None or worse is None or said.value != better - worse:
                return False
    return True


def _by_strength(group: Group, margins: Mapping[str, float]) -> Group:
    written = group.meta.get(STRENGTH)
    word = written.strip().lower() if isinstance(written, str) else ""
    word = _SAME_AS.get(word, word)
    if word not in margins:
        fix = f"add the column, with one of {', '.join(margins)}"
        if word:
            fix = did_you_mean(word, margins)
        raise DataError(f"{STRENGTH!r} is {written!r}, which has no margin", where=group.source, fix=fix)
    return replace(group, judgements=tuple(_valued(said, margins[word]) for said in group.judgements))


def _valued(said: Judgement, margin: float) -> Judgement:
    return replace(said, value=margin) if isinstance(said.target, PairTarget) else said
