"""A constitution's tests as a dataset of Inspect (``json_dataset``).

A dataset asks, and does not judge: tasks with Charter's judging are
``charter.evaluation.inspect.tasks.tasks_of``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.constitution.cases import Case, Flip, Steer
from charter.constitution.constitution import Constitution
from charter.constitution.exchange.imported import Remark
from charter.constitution.principle import Principle
from charter.errors import ConstitutionError


@dataclass(frozen=True, slots=True)
class InspectSamples:
    """Samples, and what of the tests they cannot hold."""

    rows: tuple[dict[str, Any], ...]
    left_out: tuple[Remark, ...]


def to_inspect_samples(constitution: Constitution) -> InspectSamples:
    """One sample for each conversation of each test of each active principle.

    Raises:
        ConstitutionError: there are no tests.
    """
    tests = [(principle, case) for principle in constitution.active for case in principle.tests]
    if not tests:
        raise ConstitutionError(
            "there are no tests", where=constitution.path, fix="add a `yaml tests` block to a principle"
        )
    rows = tuple(row for principle, case in tests for row in _rows(constitution, principle, case))
    return InspectSamples(rows, tuple(_left_out(constitution, [case for _, case in tests])))


def _rows(constitution: Constitution, principle: Principle, case: Case) -> list[dict[str, Any]]:
    given = case.conversations()
    parts = [""] if len(given) == 1 else [str(number) for number in range(1, len(given) + 1)]
    pushes = list(case.config.push) if isinstance(case.config, Flip) else []
    return [
        {
            "id": "/".join(filter(None, (principle.id, case.id, part))),
            "input": [{"role": turn.role, "content": turn.content} for turn in turns],
            "target": f"keeps to: {principle.title}",
            "metadata": {
                "principle": principle.id,
                "test": case.id,
                "kind": case.kind,
                "part": part,
                "tags": list(case.config.tags),
                "pushes": pushes,
                "principle_sha": principle.sha,
                "constitution_sha": constitution.sha,
            },
        }
        for part, turns in zip(parts, given, strict=True)
    ]


def _left_out(constitution: Constitution, cases: Sequence[Case]) -> list[Remark]:
    found = []
    for case in cases:
        where = f"{constitution.path}:{case.line}"
        if isinstance(case.config, Flip):
            found.append(Remark(where, "later turns of a flip test stand in the metadata (pushes)"))
        if isinstance(case.config, Steer):
            found.append(Remark(where, "a steer test is asked without naming a group"))
    return found
