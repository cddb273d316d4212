"""How far a model adheres to a constitution, before and after alignment.

Input: the judged answers of both models to the same held-out prompts. Output: a
card with one row per principle, one for all principles together, and the gates.
Pure: no model, no file, no clock. What a number means and when a rise is
claimed is told in ``docs/report.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.errors import DataError, UserError, did_you_mean
from charter.evaluation.card import AdherenceCard, Coverage, Criteria, PrincipleRow
from charter.evaluation.change import Clusters, change_of, rate_of
from charter.evaluation.gates import Gate, GateResult, decide
from charter.evaluation.overall import all_pass_means, overall_row
from charter.evaluation.status import judge_row
from charter.evaluation.verdicts import (
    PrincipleInfo,
    PromptVerdicts,
    missing_counts,
    read_verdicts,
)
from charter.stats import holm
from charter.types import Group

__all__ = ["AdherenceCard", "Criteria", "Gate", "PrincipleInfo", "adherence"]


@dataclass(frozen=True, slots=True)
class _Sides:
    """Verdicts of the prompts both models answered, in one order."""

    before: tuple[PromptVerdicts, ...] | None
    after: tuple[PromptVerdicts, ...]
    coverage: Coverage

    def rows(self) -> list[tuple[PromptVerdicts, ...]]:
        """Per prompt, the verdicts of (base, aligned), or of the one model alone."""
        if self.before is None:
            return [(prompt,) for prompt in self.after]
        return list(zip(self.before, self.after, strict=True))


def adherence(
    after: Sequence[Group],
    principles: Sequence[PrincipleInfo],
    *,
    before: Sequence[Group] | None = None,
    gates: Sequence[Gate] = (),
    criteria: Criteria | None = None,
) -> AdherenceCard:
    """Measure adherence, and its change when ``before`` is given.

    Args:
        after: judged groups of the model in question (the aligned one).
        principles: the constitution's principles, in its order.
        before: judged groups of the base model on the same prompts, matched by
            group id; None measures one model alone.
        gates: bounds per level, judged on ``after``.
        criteria: when a change is claimed.

    Raises:
        DataError: see :func:`charter.evaluation.verdicts.read_verdicts`; or no
            prompt is shared, or one id stands for two different prompts.
        UserError: no principles, a repeated principle id, or a gate on an unknown level.
    """
    rules = criteria or Criteria()
    _check(principles, gates)
    sides = _match(after, before, principles)
    rows = _with_holm([_row(sides, info, rules) for info in principles])
    rows = [judge_row(row, rules, _family(rows)) for row in rows]
    measured = [info for info, row in zip(principles, rows, strict=True) if row.status != "not_measured"]
    overall = overall_row(sides.rows(), measured, rules, paired=before is not None)
    results = tuple(_gate(gate, sides.after, principles, measured, rules) for gate in gates)
    return AdherenceCard(overall, tuple(rows), results, sides.coverage, rules)


def _check(principles: Sequence[PrincipleInfo], gates: Sequence[Gate]) -> None:
    ids = [info.id for info in principles]
    if not ids:
        raise UserError("the constitution has no principles", fix="add a principle")
    if repeated := {name for name in ids if ids.count(name) > 1}:
        raise UserError(f"principle id used twice: {', '.join(sorted(repeated))}")
    levels = {info.level for info in principles}
    for gate in gates:
        if gate.level not in levels:
            raise UserError(
                f"gate on level {gate.level!r}, which no principle has", fix=did_you_mean(gate.level, levels)
            )


def _match(
    after: Sequence[Group], before: Sequence[Group] | None, principles: Sequence[PrincipleInfo]
) -> _Sides:
    second = read_verdicts(after, principles, which="aligned")
    if not second:
        raise DataError("no judged answers", fix="give at least one held-out prompt")
    if before is None:
        return _Sides(None, tuple(second.values()), Coverage(len(second), 0, 0))
    first = read_verdicts(before, principles, which="base")
    shared = [name for name in second if name in first]
    if not shared:
        raise DataError(
            "the two models share no prompt id", fix="answer the same held-out prompts with both models"
        )
    for name in shared:
        if first[name].prompt != second[name].prompt:
            raise DataError("the two models were given different prompts", where=f"group {name!r}")
    coverage = Coverage(len(shared), len(first) - len(shared), len(second) - len(shared))
    return _Sides(tuple(first[n] for n in shared), tuple(second[n] for n in shared), coverage)


def _row(sides: _Sides, info: PrincipleInfo, rules: Criteria) -> PrincipleRow:
    prompts = sides.rows()
    judged = [row for row in prompts if all(side.passes(info.id) for side in row)]
    clusters = [
        [[float(p) for p in row[i].passes(info.id)] for row in judged] for i in range(len(prompts[0]))
    ]
    row = PrincipleRow(
        principle=info.id,
        title=info.title,
        level=info.level,
        sha=info.sha,
        applicable=sum(any(side.applies(info.id) for side in prompt) for prompt in prompts),
        n_prompts=len(judged),
        missing_before=None if sides.before is None else missing_counts(sides.before, info.id),
        missing_after=missing_counts(sides.after, info.id),
        reasons=_reasons(sides, info.id),
    )
    return _measure(row, clusters, rules) if judged else row


def _measure(row: PrincipleRow, clusters: Sequence[Clusters], rules: Criteria) -> PrincipleRow:
    after = rate_of(clusters[-1], level=rules.level, seed=rules.seed)
    if len(clusters) == 1:
        return replace(row, after=after)
    return replace(
        row,
        before=rate_of(clusters[0], level=rules.level, seed=rules.seed),
        after=after,
        change=change_of(clusters[0], clusters[1], level=rules.level, seed=rules.seed),
    )


def _reasons(sides: _Sides, principle: str) -> tuple[str, ...]:
    """Why verdicts are missing, each reason once, in the order met."""
    cells = (
        cell
        for row in sides.rows()
        for side in row
        for cell in side.cells[principle]
        if cell.passed is None and cell.verdict != "not_applicable" and cell.reason
    )
    return tuple(dict.fromkeys(cell.reason for cell in cells))


def _family(rows: Sequence[PrincipleRow]) -> int:
    return sum(row.change is not None for row in rows)


def _with_holm(rows: list[PrincipleRow]) -> list[PrincipleRow]:
    """Correct over every measured principle, also those that may not be claimed."""
    adjusted = iter(holm([row.change.p for row in rows if row.change]))
    return [
        replace(row, change=replace(row.change, p_holm=next(adjusted))) if row.change else row for row in rows
    ]


def _gate(
    gate: Gate,
    prompts: Sequence[PromptVerdicts],
    principles: Sequence[PrincipleInfo],
    measured: Sequence[PrincipleInfo],
    rules: Criteria,
) -> GateResult:
    here = [info for info in measured if info.level == gate.level]
    unmeasured = [info.id for info in principles if info.level == gate.level and info not in measured]
    means = all_pass_means([(prompt,) for prompt in prompts], here).clusters
    rate = rate_of(means[0], level=rules.level, seed=rules.seed) if means and means[0] else None
    return decide(gate, rate, len(means[0]) if means else 0, unmeasured, rules.level)
