"""Judgements as scores of Inspect, and back; ours without loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from charter.evaluation.inspect.library import Score
from charter.records import judgement_from_json, judgement_to_json
from charter.types import Judgement, SampleTarget, Verdict

OURS = "charter"
"""Key of metadata that Charter wrote."""

UNREADABLE = "scores that are no number"

_WORDS = {
    "c": 1.0,
    "i": 0.0,
    "p": 0.5,
    "yes": 1.0,
    "no": 0.0,
    "true": 1.0,
    "false": 0.0,
    "correct": 1.0,
    "incorrect": 0.0,
}
_NO_ANSWER = "N"
_FAILED = ("grader_failed", "scoring_failed")


def score_of(judgements: Sequence[Judgement], *, answer: str = "", keyed: bool = False) -> Score:
    """Judgements on one answer as a score: 1 passed, 0 failed, NaN (Inspect's "unscored") = no verdict.

    Args:
        judgements: one, or with ``keyed`` one for each principle.
        answer: what was judged.
        keyed: the value is a mapping by principle id.
    """
    ours: dict[str, dict[str, Any]] = {OURS: {"judgements": [judgement_to_json(one) for one in judgements]}}
    if keyed:
        values = {one.principle: _value(one) for one in judgements}
        told = "\n".join(f"{one.principle}: {explanation(one)}" for one in judgements)
        return Score(value=values, answer=answer, explanation=told, metadata=ours)
    [one] = judgements
    ours[OURS]["judge"] = one.judge
    ours[OURS]["principle_sha"] = one.principle_sha
    reason = None
    if one.value is None:
        reason = "grader_failed" if one.verdict == "error" else one.verdict
    return Score(value=_value(one), answer=answer, explanation=explanation(one), reason=reason, metadata=ours)


def explanation(one: Judgement) -> str:
    """The verdict in words, with who spoke and why."""
    if one.value is None:
        said = one.verdict.replace("_", " ")
    else:
        said = {1.0: "pass", 0.0: "fail"}.get(one.value, f"{one.value:g}")
    sure = "" if one.probability is None else f", {one.probability:.0%} sure"
    return f"{said} ({one.judge}{sure})" + (f": {one.reason}" if one.reason else "")


def judgements_of(name: str, score: Score, sample: int, notes: Counter[str]) -> Iterator[Judgement]:
    """The judgements a score holds, on sample number ``sample`` of its group.

    One that Charter wrote comes back as it was. Of another scorer's the judge is the scorer's name (of a
    mapping ``NAME/KEY``), without a principle: C, yes and true are 1, I, no and false 0, P is 0.5; N (no
    answer) and NaN (unscored) are no verdict. What is no number is an ``error``, counted in ``notes``.
    """
    ours = (score.metadata or {}).get(OURS)
    if isinstance(ours, Mapping) and "judgements" in ours and not score.history:
        for row in ours["judgements"]:
            yield _placed(judgement_from_json(row), sample)
        return
    value = score.value
    values = value if isinstance(value, Mapping) else {"": value}
    for key, one in values.items():
        yield _foreign(f"{name}/{key}" if key else name, one, score, sample, notes)


def _placed(one: Judgement, sample: int) -> Judgement:
    return replace(one, target=SampleTarget(sample)) if isinstance(one.target, SampleTarget) else one


def _foreign(judge: str, value: Any, score: Score, sample: int, notes: Counter[str]) -> Judgement:
    target, why = SampleTarget(sample), score.explanation or score.reason or ""
    number = _number(value)
    if number is not None and math.isfinite(number):
        return Judgement(target, value=number, judge=judge, reason=score.explanation or "")
    verdict: Verdict = "abstained"
    if number is None and value is not None and value != _NO_ANSWER:
        notes[UNREADABLE] += 1
        verdict, why = "error", f"the score is no number: {str(value)[:80]}"
    elif score.reason in _FAILED:
        verdict = "error"
    return Judgement(target, verdict=verdict, judge=judge, reason=why)


def _number(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    word = value.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        return float(word)
    except ValueError:
        return None


def _value(one: Judgement) -> float:
    return math.nan if one.value is None else one.value
