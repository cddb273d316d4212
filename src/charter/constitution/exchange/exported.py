"""A constitution in the formats of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from charter.constitution.constitution import Constitution
from charter.constitution.exchange.annotated_pairs import to_annotated_pairs
from charter.constitution.exchange.critique_requests import to_hf_constitutions
from charter.constitution.exchange.example_pairs import example_pairs
from charter.constitution.exchange.imported import Remark
from charter.constitution.exchange.inspect_samples import to_inspect_samples
from charter.constitution.exchange.preference_rows import to_preference_rows
from charter.constitution.exchange.rubric_json import to_rubrics
from charter.errors import ConstitutionError, did_you_mean


@dataclass(frozen=True, slots=True)
class Exported:
    """A file for another tool.

    Attributes:
        text: the file.
        counts: what is in it.
        left_out: what of the constitution it cannot hold.
    """

    text: str
    counts: Mapping[str, int]
    left_out: tuple[Remark, ...] = ()


def export(constitution: Constitution, to: str) -> Exported:
    """``constitution`` as ``to``, a key of :data:`EXPORTS`.

    Raises:
        ConstitutionError: an unknown format, or one for which the constitution holds nothing.
    """
    if to not in EXPORTS:
        raise ConstitutionError(
            f"unknown format {to!r}", where=constitution.path, fix=did_you_mean(to, EXPORTS)
        )
    if not constitution.active:
        raise ConstitutionError("no principle is active", where=constitution.path)
    return EXPORTS[to](constitution)


def _system_prompt(constitution: Constitution) -> Exported:
    remarks = _retired(constitution)
    return Exported(f"{constitution.system_prompt()}\n", {"principles": len(constitution.active)}, remarks)


def _critiques(constitution: Constitution) -> Exported:
    value = to_hf_constitutions(constitution)
    return Exported(_json(value), {"requests": len(value["constitutions"])}, _retired(constitution))


def _rubrics(constitution: Constitution) -> Exported:
    rows = to_rubrics(constitution)
    without = tuple(
        Remark(f"{constitution.path}:{principle.line}", f"{principle.id!r} has no rubric")
        for principle in constitution.active
        if principle.rubric is None
    )
    return Exported(_json(rows), {"rubrics": len(rows)}, without + _retired(constitution))


def _preferences(constitution: Constitution) -> Exported:
    found = to_preference_rows(constitution)
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in found.rows)
    return Exported(text, {"pairs": len(found.rows)}, found.left_out)


def _inspect(constitution: Constitution) -> Exported:
    found = to_inspect_samples(constitution)
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in found.rows)
    return Exported(text, {"samples": len(found.rows)}, found.left_out + _retired(constitution))


def _annotated_pairs(constitution: Constitution) -> Exported:
    value = to_annotated_pairs(constitution)
    counts = {"pairs": len(value["comparisons"]), "annotators": len(value["annotators"])}
    return Exported(_json(value), counts, example_pairs(constitution).left_out)


EXPORTS: Mapping[str, Callable[[Constitution], Exported]] = {
    "system-prompt": _system_prompt,
    "critiques": _critiques,
    "rubric": _rubrics,
    "preferences": _preferences,
    "annotated-pairs": _annotated_pairs,
    "inspect": _inspect,
}
"""Every format by its name."""


def _retired(constitution: Constitution) -> tuple[Remark, ...]:
    return tuple(
        Remark(f"{constitution.path}:{principle.line}", f"{principle.id!r} is retired")
        for principle in constitution.principles
        if not principle.active
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
