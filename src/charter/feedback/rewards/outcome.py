"""What a reward says of one sample: a number, or why there is none."""

from __future__ import annotations

import math
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.types import Judgement, SampleTarget, Verdict

_REASON = 300


@dataclass(frozen=True, slots=True)
class Missing:
    """A reward that is not there.

    Attributes:
        verdict: ``not_applicable``, ``abstained`` or ``error``.
        kind: what happened in a word or two, the same for all samples it happened to; no colon.
        detail: what it was for this sample.
    """

    verdict: Verdict
    kind: str
    detail: str = ""

    @property
    def reason(self) -> str:
        """For a judgement; :func:`kind_of` finds the kind again."""
        detail = self.detail if len(self.detail) <= _REASON else self.detail[: _REASON - 1] + "…"
        return f"{self.kind}: {detail}" if detail else self.kind


Said = float | Missing


def error(kind: str, detail: str = "") -> Missing:
    """A reward that failed; the sample gets no reward at all."""
    return Missing("error", kind, detail)


def not_applicable(kind: str = "not applicable", detail: str = "") -> Missing:
    """A reward that has nothing to say of the sample; the other rewards decide."""
    return Missing("not_applicable", kind, detail)


def said_of(value: Any) -> Said:
    """A returned value as a reward: bools and numpy or torch scalars are numbers, None is not applicable.

    NaN, infinity, texts and everything else are errors, never 0.
    """
    if value is None:
        return not_applicable()
    if not isinstance(value, bool | int | float) and callable(getattr(value, "item", None)):
        try:
            value = value.item()
        except (ValueError, RuntimeError, TypeError):
            return error("not a number", f"{type(value).__name__} of several values")
    if not isinstance(value, bool | int | float):
        return error("not a number", f"{type(value).__name__} {value!r}")
    try:
        number = float(value)
    except OverflowError:
        return error("not finite", "an integer too large for a float")
    return number if math.isfinite(number) else error("not finite", str(number))


def raised(fault: BaseException) -> Missing:
    """The error of a reward that raised: its type, what it said, and the last line it ran."""
    frames = traceback.extract_tb(fault.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return error(type(fault).__name__, f"{fault}{at}".strip())


def judgement(name: str, judge: str, sample: int, said: Said, reason: str = "") -> Judgement:
    """What the reward ``name`` says of one sample, as a judgement."""
    target = SampleTarget(sample)
    if isinstance(said, Missing):
        return Judgement(target, verdict=said.verdict, principle=name, judge=judge, reason=said.reason)
    return Judgement(target, said, principle=name, judge=judge, reason=reason)


def kind_of(reason: str) -> str:
    """The kind of a missing reward, from its reason."""
    return reason.partition(":")[0]
