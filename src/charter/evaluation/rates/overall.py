"""All principles together: does an answer pass everything that applies to it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from charter.evaluation.rates.card import Criteria, Mean, OverallRow
from charter.evaluation.rates.change import change_of, rate_of
from charter.evaluation.rates.status import judge_overall
from charter.evaluation.rates.verdicts import MISSING, PrincipleInfo, PromptVerdicts

Row = tuple[PromptVerdicts, ...]
"""One prompt: the verdicts of each model compared."""


@dataclass(frozen=True, slots=True)
class Composed:
    """Per model and prompt, the composed values of its complete samples."""

    clusters: list[list[list[float]]]
    left_out: Counter[str] = field(default_factory=Counter)


def all_pass_means(rows: Sequence[Row], principles: Sequence[PrincipleInfo]) -> Composed:
    """1.0 for an answer that passes every applicable principle, else 0.0."""
    return _compose(rows, principles, fraction=False)


def fraction_means(rows: Sequence[Row], principles: Sequence[PrincipleInfo]) -> Composed:
    """The weighted fraction of applicable principles each answer passes."""
    return _compose(rows, principles, fraction=True)


def overall_row(
    rows: Sequence[Row],
    principles: Sequence[PrincipleInfo],
    rules: Criteria,
    *,
    paired: bool,
    judged: int = 0,
) -> OverallRow:
    """The row of all measured ``principles`` together.

    ``judged`` of them rest on a fallible judge: the row then says what was judged, and claims nothing.
    """
    every = all_pass_means(rows, principles)
    fractions = fraction_means(rows, principles)
    n = len(every.clusters[-1])
    if n == 0:
        return judge_overall(OverallRow(0, dict(every.left_out)), rules, judged)
    all_pass, mean = (_mean(composed, rules, paired) for composed in (every, fractions))
    row = OverallRow(n, dict(every.left_out), all_pass.before, all_pass.after, all_pass.change, fraction=mean)
    return judge_overall(row, rules, judged)


def _mean(composed: Composed, rules: Criteria, paired: bool) -> Mean:
    first, last = composed.clusters[0], composed.clusters[-1]
    after = rate_of(last, level=rules.level, seed=rules.seed)
    if not paired:
        return Mean(None, after, None)
    before = rate_of(first, level=rules.level, seed=rules.seed)
    return Mean(before, after, change_of(first, last, level=rules.level, seed=rules.seed))


def _compose(rows: Sequence[Row], principles: Sequence[PrincipleInfo], *, fraction: bool) -> Composed:
    """Compose per answer over the principles judged for every model.

    A principle that applies to one model's answers only would move the bar
    between before and after, so it does not count at that prompt. A sample with
    a missing verdict is neither passed nor failed; a prompt without a complete
    sample on each side is left out and counted.
    """
    composed = Composed([[] for _ in range(len(rows[0]))])
    for row in rows:
        shared = [info for info in principles if all(side.passes(info.id) for side in row)]
        values = [_sample_values(side, principles, shared, fraction) for side in row]
        if not any(side.applies(info.id) for side in row for info in principles):
            composed.left_out["no principle applies"] += 1
        elif not all(_complete(side, principles) for side in row):
            composed.left_out["a verdict is missing"] += 1
        elif not all(values):
            composed.left_out["no principle applies to both answers"] += 1
        else:
            for cluster, value in zip(composed.clusters, values, strict=True):
                cluster.append(value)
    return composed


def _sample_values(
    side: PromptVerdicts,
    principles: Sequence[PrincipleInfo],
    shared: Sequence[PrincipleInfo],
    fraction: bool,
) -> list[float]:
    values = []
    for index in _complete(side, principles):
        judged = [info for info in shared if side.cells[info.id][index].passed is not None]
        passed = [info for info in judged if side.cells[info.id][index].passed]
        if not judged:
            continue
        if fraction:
            values.append(sum(info.weight for info in passed) / sum(info.weight for info in judged))
        else:
            values.append(float(len(passed) == len(judged)))
    return values


def _complete(side: PromptVerdicts, principles: Sequence[PrincipleInfo]) -> list[int]:
    """The samples on which every principle was judged or found not to apply."""
    return [
        index
        for index in range(side.samples)
        if not any(side.cells[info.id][index].verdict in MISSING for info in principles)
    ]
