"""A difference between two constitutions as lines for people."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from charter.constitution.diff import Difference
from charter.constitution.diff_principles import Change, PrincipleChange

_MARKS = {"added": "+", "removed": "-"}


def lines_of(found: Difference) -> Iterator[str]:
    """What changed, what to run again, and what the version should be."""
    yield f"{found.old_version} (sha {found.old_sha[:12]}) -> {found.new_version} (sha {found.new_sha[:12]})"
    if found.same:
        yield "no principle and no setting changed"
    for change in found.principles:
        yield from principle_lines(change)
    yield from setting_lines(found)
    yield from rerun_lines(found)
    yield _version(found)


def setting_lines(found: Difference) -> Iterator[str]:
    """Keys of the front matter that changed."""
    if found.settings:
        yield "settings:"
        yield from (
            f"  {change.field}: {_value(change.before)} -> {_value(change.after)}"
            for change in found.settings
        )


def principle_lines(change: PrincipleChange) -> Iterator[str]:
    """What became of one principle."""
    mark = _MARKS.get(change.kinds[0], "~")
    because = f" [{change.bump}: {change.why}]" if change.why else ""
    yield f"{mark} {change.id}: {', '.join(change.kinds)}{because}"
    if change.same_as:
        yield f"    says what {change.same_as!r} said; an id is not changed: keep the old one"
    if change.kinds == ("removed",):
        yield "    an id is never used again: keep the principle with status=retired"
    for field in change.changes:
        yield from (f"    {line}" for line in _field(field))


def _field(change: Change) -> Iterator[str]:
    if change.field == "tests":
        yield from _tests(change.before, change.after)
    elif isinstance(change.before, str) and isinstance(change.after, str):
        if "\n" not in change.before + change.after and len(change.before + change.after) < 60:
            yield f"{change.field}: {_value(change.before)} -> {_value(change.after)}"
            return
        yield f"{change.field}:"
        before, after = change.before.split("\n"), change.after.split("\n")
        yield from (f"  {line}" for line in difflib.ndiff(before, after) if line[:1] in "+-")
    elif isinstance(change.before, int | float | None) and isinstance(change.after, int | float | None):
        yield f"{change.field}: {_value(change.before)} -> {_value(change.after)}"
    else:
        yield f"{change.field}:"
        before, after = _pretty(change.before), _pretty(change.after)
        yield from (f"  {line}" for line in difflib.ndiff(before, after) if line[:1] in "+-")


def _tests(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[str]:
    was, now = ({test["id"]: test for test in tests} for tests in (before, after))
    for name, ids in (
        ("added", [id for id in now if id not in was]),
        ("removed", [id for id in was if id not in now]),
        ("changed", [id for id in now if id in was and was[id] != now[id]]),
    ):
        if ids:
            yield f"tests {name}: {', '.join(ids)}"
    if was == now:
        yield "tests: in another order"


def rerun_lines(found: Difference) -> Iterator[str]:
    """What must be measured again."""
    if not found.rerun:
        yield "run again: nothing; results by the old shas stay valid"
        return
    number = sum(len(run.tests) for run in found.rerun)
    yield f"run again: {_count(number, 'test')} of {_count(len(found.rerun), 'principle')}"
    for run in found.rerun:
        tests = ", ".join(run.tests) or "no tests of its own, so your evaluation prompts"
        yield f"  {run.principle} (sha {run.principle_sha[:12]}): {tests} ({run.why})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _version(found: Difference) -> str:
    if found.bump_made == "backwards":
        return f"version: {found.new_version} is older than {found.old_version}"
    if not found.version_ok:
        return (
            f"version: a {found.bump_due} change, so {found.version_due}; the file says {found.new_version}"
        )
    if found.bump_due == "none":
        return f"version: no change is due; the file says {found.new_version}"
    return f"version: a {found.bump_due} change, and {found.new_version} says so"


def _value(value: Any) -> str:
    return "nothing" if value in (None, "") else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> list[str]:
    return json.dumps(value, indent=1, ensure_ascii=False).split("\n") if value is not None else []
