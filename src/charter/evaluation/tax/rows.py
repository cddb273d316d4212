"""Before and after, paired by item: what was lost, what was kept, and what could not have been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from charter.evaluation.rates.change import Change, Rate, change_of, rate_of
from charter.stats import bootstrap_mean, holm, p_words, percent, permutation_test, points
from charter.stats.pass_at_k import pass_at_k

TaxStatus = Literal["fell", "suspect", "rose", "kept", "floor", "not_measured"]

FLOOR = 0.05
"""A base that is right less often has nothing to lose that could be seen."""


@dataclass(frozen=True)
class TaxRow:
    """One task.

    Attributes:
        task: its name; "all" = every task's items together.
        source: ``reasoning-gym`` or ``lm-eval``.
        k: of pass@k; 1 = the share that is right.
        n: items answered by both, and checked.
        missing: items without a checked answer of one model.
        before: of the base.
        after: of the aligned model.
        change: paired; ``p_holm`` is corrected over the tasks of one k.
        status: ``fell`` by the corrected p-value; ``suspect`` by the uncorrected one only; ``floor``: the
            base is hardly ever right.
        why: in words.
    """

    task: str
    source: str
    k: int
    n: int
    missing: int
    before: Rate | None
    after: Rate | None
    change: Change | None
    status: TaxStatus
    why: str

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Shift:
    """A measure that is no rate.

    Attributes:
        measure: ``words`` or ``perplexity``.
        before, after: of the base and of the aligned model.
        diff: after minus before.
        lo, hi: its interval over items; None where it is one number.
        p: two-sided; likewise.
    """

    measure: str
    before: float
    after: float
    diff: float
    lo: float | None = None
    hi: float | None = None
    p: float | None = None


Items = Mapping[str, Sequence[bool | float]]
"""Of each item the score of each answer, 0 to 1."""


def tax_rows(
    before: Mapping[str, Items],
    after: Mapping[str, Items],
    *,
    ks: Sequence[int] = (1,),
    source: str = "reasoning-gym",
    alpha: float = 0.05,
    level: float = 0.95,
    seed: int = 0,
) -> list[TaxRow]:
    """A row for each task and k, and one of all tasks together for each k.

    One answer to each item: exact McNemar and Newcombe's interval. Several: sign-flip permutation and
    bootstrap over items. Holm over the tasks of one k; all tasks together are one test.

    Args:
        before: of the base, by task.
        after: of the aligned model, by task.
        ks: of pass@k.
        source: what asked.
        alpha: of claims.
        level: of intervals.
        seed: of bootstrap and permutation.
    """
    rows: list[TaxRow] = []
    for k in ks:
        paired = {task: _paired(before[task], after[task], k) for task in before}
        tasks = [_row(task, source, k, pair, level, seed) for task, pair in paired.items()]
        tasks = [_judged(row, alpha) for row in _corrected(tasks)]
        rows += tasks
        if len(tasks) > 1:
            together = _Pair(
                [v for pair in paired.values() for v in pair.before],
                [v for pair in paired.values() for v in pair.after],
                sum(pair.missing for pair in paired.values()),
            )
            rows.append(_judged(_row("all", source, k, together, level, seed), alpha))
    return rows


def word_shift(
    before: Mapping[str, float], after: Mapping[str, float], *, level: float = 0.95, seed: int = 0
) -> Shift | None:
    """Words of an answer, paired by item; None without items."""
    both = [item for item in before if item in after]
    if not both:
        return None
    differences = [after[item] - before[item] for item in both]
    interval = bootstrap_mean([[d] for d in differences], level=level, seed=seed)
    first, second = (sum(side[item] for item in both) / len(both) for side in (before, after))
    return Shift(
        "words",
        first,
        second,
        second - first,
        interval.lo,
        interval.hi,
        permutation_test(differences, seed=seed),
    )


@dataclass(frozen=True)
class _Pair:
    before: list[list[float]]
    after: list[list[float]]
    missing: int


def _paired(before: Items, after: Items, k: int) -> _Pair:
    first, second = [], []
    every = dict.fromkeys((*before, *after))
    for item in every:
        sides = [_at_k(side.get(item, ()), k) for side in (before, after)]
        if sides[0] and sides[1]:
            first.append(sides[0])
            second.append(sides[1])
    return _Pair(first, second, len(every) - len(first))


def _at_k(values: Sequence[bool | float], k: int) -> list[float]:
    """An item's answers; for k above 1 the one chance that k of them hold a right one."""
    if k == 1:
        return [float(value) for value in values]
    return [pass_at_k(len(values), sum(value == 1.0 for value in values), k)] if len(values) >= k else []


def _row(task: str, source: str, k: int, pair: _Pair, level: float, seed: int) -> TaxRow:
    if not pair.before:
        why = "no item was checked for both models"
        return TaxRow(task, source, k, 0, pair.missing, None, None, None, "not_measured", why)
    first = rate_of(pair.before, level=level, seed=seed)
    second = rate_of(pair.after, level=level, seed=seed)
    change = change_of(pair.before, pair.after, level=level, seed=seed)
    return TaxRow(task, source, k, len(pair.before), pair.missing, first, second, change, "kept", "")


def _corrected(rows: Sequence[TaxRow]) -> list[TaxRow]:
    adjusted = iter(holm([row.change.p for row in rows if row.change]))
    return [
        replace(row, change=replace(row.change, p_holm=next(adjusted))) if row.change else row for row in rows
    ]


def _judged(row: TaxRow, alpha: float) -> TaxRow:
    change = row.change
    if change is None or row.before is None:
        return row
    flips = f"{change.down} items lost, {change.up} gained (p {p_words(change.p)}"
    flips += f", corrected {p_words(change.p_holm)})" if change.p_holm != change.p else ")"
    if change.diff < 0 and change.p_holm < alpha:
        return replace(row, status="fell", why=flips)
    if change.diff < 0 and change.p < alpha:
        return replace(row, status="suspect", why=f"{flips}: a loss that does not survive the correction")
    if change.diff > 0 and change.p_holm < alpha:
        return replace(row, status="rose", why=flips)
    if row.before.rate < FLOOR:
        why = f"the base is right on {percent(row.before.rate)}: a loss could not be seen; {flips}"
        return replace(row, status="floor", why=why)
    ruled_out = f"a loss of more than {points(-min(change.lo, 0.0)).lstrip('+')} points is ruled out"
    return replace(row, why=f"{flips}; {ruled_out}")
