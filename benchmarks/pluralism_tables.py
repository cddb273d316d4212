"""Tables of the pluralism page."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from pluralism_budget import Budget
from pluralism_data import HELD_OUT
from pluralism_many import HELD
from pluralism_summary import (
    SMALL,
    Found,
    Unit,
    Units,
    difference,
    difference_of_runs,
    draws_of,
    few_units,
    groups_of,
    mean_of_runs,
    mean_of_units,
    only_groups,
    robust_runs,
    robust_units,
    skews,
    worst_group,
)

from charter.evaluation.pluralism.measure import Measured
from charter.testing.survey import PEOPLE

NONE = "not measured"
_NOTHING = frozenset({NONE, "none", "0"})

Who = tuple[str, str, str]
"""What a row is called, the predictor, and its variant."""

FAIR: tuple[Who, ...] = (
    ("gpo", "gpo", "unasked"),
    ("in-context", "in-context", ""),
    ("fine-tuned", "fine-tuned", ""),
    ("ridge", "ridge", "unasked"),
    ("nearest option", "nearest option", "unasked"),
    ("uniform", "uniform", "unasked"),
)
"""Where no training group was asked the target questions."""

HELPED: tuple[Who, ...] = (
    ("gpo", "gpo", "asked"),
    ("nearest group", "nearest group", "asked"),
    ("mean of training groups", "group mean", "asked"),
)
"""Where training groups were asked them."""


def shown(one: Measured, sign: str = "") -> str:
    """A mean with its interval."""
    if one.value is None:
        return NONE
    ends = "" if one.interval is None else f" [{one.interval.lo:{sign}.3f}, {one.interval.hi:{sign}.3f}]"
    return f"{one.value:{sign}.3f}{ends}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a Markdown table, and an empty one; rows without a number are named under it."""
    kept = [row for row in rows if set(row[1:]) - _NOTHING]
    if kept:
        yield f"| {' | '.join(heads)} |"
        yield f"|{'---|' * len(heads)}"
        yield from (f"| {' | '.join(row)} |" for row in kept)
        yield ""
    left = [row[0] for row in rows if row not in kept]
    if left:
        yield f"Not measured: {', '.join(left)}.\n"


# -- new groups --------------------------------------------------------------------------------------


def few_table(found: Found, budget: Budget, who: Sequence[Who]) -> Iterator[str]:
    """Mean distance by number of known answers."""
    units = few_units(found)
    heads = ["predictor", *(f"{size} known" for size in budget.sizes), "draws"]
    rows = []
    for title, name, variant in who:
        mine = [units.get((name, variant, size), {}) for size in budget.sizes]
        rows.append([title, *(_mean(one) for one in mine), str(max(map(draws_of, mine)))])
    yield from table(heads, rows)


def worst_table(found: Found, budget: Budget, who: Sequence[Who]) -> Iterator[str]:
    """The group that is predicted worst, by number of known answers."""
    units = few_units(found)
    rows = []
    for title, name, variant in who:
        worst = [worst_group(units.get((name, variant, size), {})) for size in budget.sizes]
        rows.append([title, *(NONE if one is None else f"{one[0]} {shown(one[1])}" for one in worst)])
    yield from table(["worst group", *(f"{size} known" for size in budget.sizes)], rows)


def paired_table(found: Found, budget: Budget, base: Who, others: Sequence[Who]) -> Iterator[str]:
    """``base`` less each of the others, on the same groups, questions and known answers."""
    units = few_units(found)
    rows = []
    for title, name, variant in others:
        cells = []
        for size in budget.sizes:
            mine = units.get((base[1], base[2], size), {})
            cells.append(shown(difference(mine, units.get((name, variant, size), {})), "+"))
        rows.append([f"{base[0]} less {title}", *cells])
    yield from table(["difference [95%]", *(f"{size} known" for size in budget.sizes)], rows)


def _mean(units: Units) -> str:
    count = groups_of(units)
    partly = "" if count in (0, len(HELD_OUT)) else f" ({count} of {len(HELD_OUT)} groups)"
    return f"{shown(mean_of_units(units))}{partly}"


# -- one model for everybody -------------------------------------------------------------------------

SKEWED = ("untrained", "dpo", "gdpo", "sft")
PLAIN = ("uniform", "mean of groups", "votes, smoothed")


def skew_table(found: Found, budget: Budget, where: str) -> Iterator[str]:
    """Distances and what the majority gets beyond its share."""
    methods = skews(found, budget)
    rows = []
    for name in (*SKEWED, *PLAIN):
        runs = methods.get(name, {}).get(where, {})
        if name == "votes, smoothed" and where == HELD:
            continue  # nobody voted on what is held out
        of_runs = ", ".join(f"{statistics.fmean(run.values()):.3f}" for run in runs.get("js", ()) if run)
        signs = (("js", ""), ("majority", "+"), ("peak", "+"))
        cells = [shown(mean_of_runs(runs.get(key, ())), sign) for key, sign in signs]
        rows.append([name, *cells, of_runs or "none"])
    yield from table(["method", "distance [95%]", "majority [95%]", "peak [95%]", "distance by run"], rows)


def skew_differences(found: Found, budget: Budget, where: str) -> Iterator[str]:
    """GDPO less the others, question by question."""
    methods = skews(found, budget)
    rows = []
    for other in ("dpo", "sft", "untrained", "uniform"):
        one, two = (methods.get(name, {}).get(where, {}) for name in ("gdpo", other))
        cells = [
            shown(difference_of_runs(one.get(key, ()), two.get(key, ())), "+") for key in ("js", "majority")
        ]
        rows.append([f"gdpo less {other}", *cells])
    yield from table(["difference [95%]", "distance", "majority"], rows)


# -- each group named --------------------------------------------------------------------------------

ROBUST = ("untrained", "dpo", "gr-dpo", "uniform", "mean of the other groups")


def robust_table(found: Found, budget: Budget) -> Iterator[str]:
    """The worst-off group, by method."""
    units = robust_units(found, budget)
    rows = []
    for name in ROBUST:
        mine = units.get(name, {})
        worst = worst_group(mine)
        runs = ", ".join(f"{max(run.values()):.3f}" for run in robust_runs(found, name) if run)
        rows.append(
            [
                name,
                NONE if worst is None else f"{worst[0]} {shown(worst[1])}",
                shown(mean_of_units(mine)),
                shown(mean_of_units(only_groups(mine, SMALL))),
                runs or "none",
            ]
        )
    heads = [
        "method",
        "worst group [95%]",
        "mean of groups [95%]",
        "four smallest groups [95%]",
        "worst by run",
    ]
    yield from table(heads, rows)


def robust_differences(found: Found, budget: Budget) -> Iterator[str]:
    """Group-robust DPO less DPO, and both less the untrained model, question by question."""
    units = robust_units(found, budget)
    rows = []
    for one, other in (("gr-dpo", "dpo"), ("dpo", "untrained"), ("gr-dpo", "untrained")):
        a, b = units.get(one, {}), units.get(other, {})
        rows.append([f"{one} less {other}", *(shown(difference(*pair), "+") for pair in _parts(a, b))])
    yield from table(["difference [95%]", "mean of groups", "four smallest groups"], rows)


def group_table(found: Found, budget: Budget) -> Iterator[str]:
    """Every group under DPO and group-robust DPO, the worst under DPO first."""
    units = robust_units(found, budget)
    sizes = {one.name: one.size for one in PEOPLE}
    weights = _weights(found)
    one, two = units.get("dpo", {}), units.get("gr-dpo", {})
    if not one:
        return
    made = {name: (only_groups(one, [name]), only_groups(two, [name])) for name in sizes}
    rows = [
        [
            name,
            str(sizes[name]),
            shown(mean_of_units(a)),
            shown(mean_of_units(b)),
            shown(difference(b, a), "+"),
            f"{weights[name]:.2f}" if name in weights else NONE,
        ]
        for name, (a, b) in sorted(made.items(), key=lambda pair: -(mean_of_units(pair[1][0]).value or 0.0))
    ]
    heads = ["group", "people", "dpo [95%]", "gr-dpo [95%]", "difference [95%]", "weight at the end"]
    yield from table(heads, rows)


def _parts(one: Units, other: Units) -> list[tuple[dict[Unit, float], dict[Unit, float]]]:
    return [(dict(one), dict(other)), (only_groups(one, SMALL), only_groups(other, SMALL))]


def _weights(found: Found) -> Mapping[str, float]:
    """Of group-robust DPO's last step, the mean over runs."""
    runs = [result["weights"] for cell, result in found.items() if cell.startswith("robust/gr-dpo/")]
    names = {name for run in runs for name in run}
    return {name: statistics.fmean(run[name] for run in runs if name in run) for name in names}
