"""What the constitutional study could and could not measure where rules do not decide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from charter.stats import percent

Row = dict[str, Any]


def unmeasured(arms: Mapping[str, tuple[str, Row]]) -> str:
    """A section on each constitution; "" = none was asked.

    Args:
        arms: title and result, by name.
    """
    if not arms:
        return ""
    return "## What could not be measured\n\n" + "\n".join(_arm(title, arm) for title, arm in arms.values())


def _arm(title: str, arm: Row) -> str:
    rows, minutes = arm["adherence"]["principles"], arm["cost"]["seconds"] / 60
    head = f"**{title[:1].upper()}{title[1:]}** ({minutes:.0f} minutes, judge and card included)."
    parts = [
        f"{head} {standing(rows)}",
        _reasons(rows),
        _notes(arm["cost"]["notes"]),
        _lint(arm["lint"]),
        _left_out(arm["import"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def standing(rows: list[Row]) -> str:
    """How many principles have a number, and what the number rests on."""
    by = Counter(_evidence(row) for row in rows)
    exact, calibrated, uncalibrated = (by[name] for name in ("exact", "calibrated", "uncalibrated"))
    said = (
        f"Of {len(rows)} principles {exact + calibrated} have a rate that may be claimed: {exact} by rules, "
        f"{calibrated} by a judge whose errors are known."
    )
    if uncalibrated:
        told = [_verdicts(row) for row in rows if _evidence(row) == "uncalibrated"]
        said += (
            f" {uncalibrated} more have verdicts of a judge of which nobody knows how often it errs, "
            f"so they claim nothing ({'; '.join(told)})."
        )
    return f"{said} {by['']} have no number."


def _evidence(row: Row) -> str:
    """What a principle's number rests on; "" = it has none."""
    if row["status"] == "not_measured":
        return ""
    return "exact" if row["judge"] is None else str(row["judge"]["evidence"])


def _verdicts(row: Row) -> str:
    return f"`{row['principle']}`: passes {percent(row['after']['rate'])} of {row['n_prompts']}"


def _reasons(rows: list[Row]) -> str:
    """Why principles have no number, the most frequent reason first."""
    why = Counter(row["why"] for row in rows if row["status"] == "not_measured")
    if not why:
        return ""
    return "Without a number:\n\n" + "\n".join(f"- {count}: {reason}" for reason, count in why.most_common())


def _notes(notes: list[str]) -> str:
    return "\n".join(f"Note: {note}." for note in notes)


def _lint(found: Row | None) -> str:
    """How often the linter said what."""
    if found is None:
        return ""
    counts = Counter(finding["code"] for finding in found["findings"])
    said = ", ".join(f"{code} {count}" for code, count in counts.most_common()) or "nothing"
    return f"The linter: {said}."


def _left_out(found: Row | None) -> str:
    """What the import could not carry over, by reason, with the places of the rarer ones."""
    if found is None:
        return ""
    counts = found["counts"]
    told = [
        f"{counts[what]} {what}"
        for what in (
            "headings",
            "principles",
            "GOOD answers",
            "BAD answers",
            "good x bad pairs",
            "internal links",
            "footnotes",
            "footnotes without a file",
            "tests",
            "principles of some level without a test",
        )
        if what in counts
    ]
    said = f"The import: {', '.join(told)}."
    left = Counter(_kind(one["what"]) for one in found["left_out"])
    if not left:
        return said
    lines = []
    for kind, number in left.most_common():
        where = [one for one in found["left_out"] if _kind(one["what"]) == kind]
        shown = "; ".join(f"{one['what']} ({_place(one['where'])})" for one in where) if number <= 8 else kind
        lines.append(f"- {number}: {shown}")
    return f"{said} Not carried over:\n\n" + "\n".join(lines)


def _kind(what: str) -> str:
    """A remark without the name it is about."""
    return re.split(r" \[\^| on \S+:\d+|: ", what, maxsplit=1)[0]


def _place(where: str) -> str:
    """File and line without the folder."""
    return where.rpartition("/")[2]
