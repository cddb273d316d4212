"""The same judge on the same answers later: does it still say what it said?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.evaluation.judge_card.calibration import GoldAnswer, PairVerdict, asked
from charter.evaluation.judge_card.criterion import Criterion, Limits, Result, unmeasured
from charter.rundir import read_json, sha256_json, write_json
from charter.stats.kappa import cohen_kappa

Verdicts = Mapping[str, str]
"""Verdict by the sha of what was judged."""

SIZE = 50
"""Most items of an anchor set, over all principles."""


@dataclass(frozen=True)
class Anchor:
    """A judge's verdicts on a frozen set of items.

    Attributes:
        judge: its name.
        verdicts: by the sha of principle, conversation and answers.
    """

    judge: str
    verdicts: Verdicts

    def write(self, path: Path) -> None:
        """Write it, once; it is not to change."""
        write_json(path, {"judge": self.judge, "verdicts": dict(self.verdicts)})

    @classmethod
    def read(cls, path: Path) -> Anchor:
        """Read it.

        Raises:
            UserError: not an anchor set.
        """
        found: Any = read_json(path)
        if not isinstance(found, dict) or not isinstance(found.get("verdicts"), dict) or "judge" not in found:
            raise UserError("not an anchor set", where=str(path), fix="name a new file, to be written")
        return cls(str(found["judge"]), {str(key): str(value) for key, value in found["verdicts"].items()})


def verdicts_of(
    pairs: Sequence[PairVerdict],
    answers: Sequence[tuple[GoldAnswer, bool | None]],
    shas: Mapping[str, str],
    size: int | None = SIZE,
) -> dict[str, str]:
    """What a judge says now, by item; the first ``size`` items in the order of their shas, None = all.

    Args:
        pairs: judged pairs.
        answers: judged answers.
        shas: sha of each principle's text: a reworded principle is another item.
    """
    found = {_of_pair(one, shas): f"{one.first}/{one.second}" for one in pairs if one.measured}
    found |= {
        _of_answer(one, shas): "pass" if passed else "fail" for one, passed in answers if passed is not None
    }
    return dict(sorted(found.items())[:size])


def clusters_of(
    pairs: Sequence[PairVerdict],
    answers: Sequence[tuple[GoldAnswer, bool | None]],
    shas: Mapping[str, str],
) -> dict[str, Hashable]:
    """Of each item of :func:`verdicts_of` its comparison, or its conversation: such items hang together."""
    found: dict[str, Hashable] = {_of_pair(one, shas): one.pair.cluster for one in pairs}
    return found | {_of_answer(one, shas): asked(one.context) for one, _ in answers}


def drift_criterion(
    then: Anchor | None, now: Verdicts, limits: Limits, clusters: Mapping[str, Hashable] | None = None
) -> Criterion:
    """Agreement beyond chance with the frozen verdicts; ``clusters`` of :func:`clusters_of`."""
    if then is None:
        return unmeasured("drift", "no anchor set from an earlier examination")
    shared = [key for key in then.verdicts if key in now]
    if len(shared) < limits.min_pairs:
        return unmeasured(
            "drift", f"{len(shared)} of the anchor set's {len(then.verdicts)} items were judged again"
        )
    before, after = [then.verdicts[key] for key in shared], [now[key] for key in shared]
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    hang = None if clusters is None else [clusters[key] for key in shared]
    found = cohen_kappa(before, after, level=limits.level, clusters=hang)
    lost = len(then.verdicts) - len(shared)
    told = f"{changed} of {len(shared)} verdicts on the anchor set changed"
    told += f", and {lost} of its items are gone" if lost else ""
    detail = {"changed": changed, "gone": lost, "judge_then": then.judge}
    if found.value is None:
        # All verdicts are equal, before and after: chance would agree too, and nothing has moved.
        return Criterion(
            "drift",
            "undecided",
            f"{told}; all the same or of one conversation: kappa says nothing",
            n=len(shared),
        )
    result: Result = "undecided"
    if found.value < limits.drift:
        result = "fail"
    elif found.interval.lo > 0.5 * limits.drift or changed == 0:
        result = "pass"
    told += f": kappa {found.value:.2f} ({found.interval.lo:.2f} to {found.interval.hi:.2f}, "
    told += f"at least {limits.drift:g})"
    return Criterion("drift", result, told, found.value, found.interval, len(shared), detail)


def _of_pair(one: PairVerdict, shas: Mapping[str, str]) -> str:
    return _sha(shas[one.pair.principle], one.pair.context, one.pair.good, one.pair.bad)


def _of_answer(one: GoldAnswer, shas: Mapping[str, str]) -> str:
    return _sha(shas[one.principle], one.context, one.text)


def _sha(*parts: Any) -> str:
    plain = [
        part if isinstance(part, str) else [[turn.role, turn.content] for turn in part] for part in parts
    ]
    return sha256_json(plain)[:16]
