"""A judge card back from the file that ``charter judge-card --output`` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from charter.errors import DataError, did_you_mean
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Criterion, Limits
from charter.evaluation.judge_card.gate import Use
from charter.stats.agreement import Agreement
from charter.stats.intervals import Interval
from charter.stats.judge_rate import JudgeErrors
from charter.stats.kappa import Kappa

FIX = "make it anew with `charter judge-card JUDGE --constitution FILE --output CARD.json`"


def read_card(path: str | Path) -> JudgeCard:
    """Read a card; the alternative-annotator test and the frozen verdicts are not part of it.

    Raises:
        DataError: no such file, not a card, or a part that is missing or wrong.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no such judge card", where=str(path), fix=FIX) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"the judge card cannot be read: {error}", where=str(path), fix=FIX) from None
    return card_from_json(value, where=str(path))


def card_from_json(value: Any, *, where: str = "judge card") -> JudgeCard:
    """The card that :meth:`JudgeCard.to_json` wrote.

    Raises:
        DataError: it is not one.
    """
    try:
        return JudgeCard(
            str(value["judge"]),
            str(value["constitution"]),
            str(value["constitution_sha"]),
            Limits(**value["limits"]),
            tuple(_criterion(one) for one in value["judge_wide"]),
            tuple(_principle(one) for one in value["principles"]),
            dict(value["left_out"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"this is not a judge card: {error!r}", where=where, fix=FIX) from None


def _principle(value: Mapping[str, Any]) -> PrincipleCard:
    if value["use"] not in get_args(Use):
        raise ValueError(f"use {value['use']!r}; {did_you_mean(str(value['use']), get_args(Use))}")
    return PrincipleCard(
        str(value["principle"]),
        str(value["title"]),
        str(value["sha"]),
        value["use"],
        str(value["why"]),
        tuple(_criterion(one) for one in value["criteria"]),
        _errors(value["errors"]),
        _errors(value["example_errors"]),
        None if value["kappa"] is None else Kappa(**_with_interval(value["kappa"])),
        None if value["agreement"] is None else Agreement(**_with_interval(value["agreement"])),
        None,
        dict(value["missing"]),
    )


def _criterion(value: Mapping[str, Any]) -> Criterion:
    return Criterion(**_with_interval(value))


def _errors(value: Mapping[str, Any] | None) -> JudgeErrors | None:
    if value is None:
        return None
    good, good_passed, bad, bad_passed = (
        float(value[name]) for name in ("good", "good_passed", "bad", "bad_passed")
    )
    labelled = value.get("labelled")
    return JudgeErrors(good, good_passed, bad, bad_passed, None if labelled is None else int(labelled))


def _with_interval(value: Mapping[str, Any]) -> dict[str, Any]:
    ends = value["interval"]
    return {**value, "interval": None if ends is None else Interval(*(float(end) for end in ends))}
