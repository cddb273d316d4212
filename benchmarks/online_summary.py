"""Cells of the online study over their seeds: means, intervals, differences, reward at a KL."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from study_parts import Row, interval_of

from charter.stats.best_of_n import best_of_n, kl_bound

RIGHT = 0.99
"""A task is solved where its score reaches this."""

SIZES = (1, 2, 4, 8, 16)
LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""KL, nats, at which methods may be compared."""

Clusters = list[list[float]]


def summaries(rows: Sequence[Row]) -> dict[str, Row]:
    """Trained settings by name, each over its seeds."""
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if "points" in row:
            by_name[row["setting"]].append(row)
    return {name: summary(found) for name, found in by_name.items()}


def summary(rows: Sequence[Row]) -> Row:
    """One setting over its seeds; intervals resample prompts with the answers of all seeds."""
    first = rows[0]
    names = list(first["points"][0]["scores"])
    steps = sorted(set.intersection(*({p["step"] for p in row["points"]} for row in rows)))
    points = []
    for step in steps:
        here = [_at(row, step) for row in rows]
        kls = [point["kl"] for point in here if point["kl"] is not None]
        point: Row = {"step": step, "kl": statistics.fmean(kls) if kls else None}
        for name in names:
            point[name] = interval_of(clusters(rows, step, name))
        point["missing"] = sum(v is None for p in here for s in p["scores"].values() for c in s for v in c)
        points.append(point)
    found: Row = {
        "setting": first["setting"],
        "part": first["part"],
        "algorithm": first["algorithm"],
        "options": first["options"],
        "seeds": len(rows),
        "points": points,
        "kl_seeds": [row["points"][-1]["kl"] for row in rows],
        "reward_seeds": [_mean_of(row["points"][-1]["scores"]["reward"]) for row in rows],
        "alarms": sorted({name for row in rows for name in row["alarms"]}),
        "stopped_early": sum(row["steps_taken"] < row["options"]["max_steps"] for row in rows),
        "skipped_steps": sum(bool(step.get("skipped")) for row in rows for step in row["steps"]),
    }
    for name in ("words", "finished", "distinct", "nll_base"):
        found[name] = statistics.fmean(row["end"][name] for row in rows)
    for name in ("seconds", "cpu_seconds", "memory_mib"):
        found[name] = statistics.fmean(row[name] for row in rows)
    return found


def clusters(rows: Sequence[Row], step: int, name: str) -> Clusters:
    """For each prompt the scores of all seeds at a step; prompts without one are left out."""
    each = [_at(row, step)["scores"][name] for row in rows]
    task = rows[0]["part"] == "tasks"
    return [
        found
        for prompt in zip(*each, strict=True)
        if (found := [_solved(v) if task else v for values in prompt for v in values if v is not None])
    ]


def difference(rows: Sequence[Row], others: Sequence[Row], name: str) -> list[float]:
    """Mean difference of the last scores on the same prompts, with its 95% interval."""
    mine, theirs = (_by_prompt(found, name) for found in (rows, others))
    return interval_of([[a - b] for a, b in zip(mine, theirs, strict=True) if not math.isnan(a - b)])


def gain(rows: Sequence[Row], name: str = "reward") -> list[float]:
    """How much the last scores are above the first, on the same prompts."""
    return interval_of(
        [
            [a - b]
            for a, b in zip(_by_prompt(rows, name), _by_prompt(rows, name, first=True), strict=True)
            if not math.isnan(a - b)
        ]
    )


def reward_at(points: Sequence[Row], level: float, name: str = "reward") -> float | None:
    """Score where the KL first reaches ``level``, between points straight in sqrt(KL); None = never."""
    for before, after in pairwise(points):
        if before["kl"] is None or after["kl"] is None or after["kl"] < level:
            continue
        low, high = math.sqrt(before["kl"]), math.sqrt(after["kl"])
        share = 1.0 if high <= low else max((math.sqrt(level) - low) / (high - low), 0.0)
        start, end = before[name][0], after[name][0]
        return float(start + share * (end - start))
    return None


def levels_of(settings: Sequence[Row], most: int = 3) -> list[float]:
    """The largest KLs that at least half of the settings reach."""
    reached = [
        level
        for level in LEVELS
        if sum(reward_at(s["points"], level) is not None for s in settings) * 2 >= len(settings)
    ]
    return reached[-most:]


def best_of(row: Row) -> list[Row]:
    """What choosing the best of n by the reward gives, with the bound of its KL."""
    reward, held_out = row["scores"]["reward"], row["scores"]["held_out"]
    found = []
    for n in SIZES:
        each = [
            [(a, b) for a, b in zip(r, h, strict=True) if a is not None and b is not None]
            for r, h in zip(reward, held_out, strict=True)
        ]
        usable = [pairs for pairs in each if len(pairs) >= n]
        if not usable:
            continue
        proxy = [[best_of_n([a for a, _ in pairs], n)] for pairs in usable]
        gold = [[best_of_n([a for a, _ in pairs], n, [b for _, b in pairs])] for pairs in usable]
        found.append({"n": n, "kl": kl_bound(n), "reward": interval_of(proxy), "held_out": interval_of(gold)})
    return found


def toy_table(rows: Sequence[Row]) -> list[Row]:
    """The toy over its seeds: one row for each coverage and policy, intervals over seeds."""
    found = []
    for seen in sorted({row["seen"] for row in rows}):
        here = [row for row in rows if row["seen"] == seen]
        for name in here[0]["policies"]:
            values = {
                measure: interval_of([[row["policies"][name][measure]] for row in here])
                for measure in here[0]["policies"][name]
            }
            found.append({"seen": seen, "policy": name, "seeds": len(here), **values})
    return found


def _by_prompt(rows: Sequence[Row], name: str, *, first: bool = False) -> list[float]:
    """Mean score of each prompt over seeds and completions at the end (or the start); NaN = none."""
    place = 0 if first else -1
    task = rows[0]["part"] == "tasks"
    found = []
    for prompt in zip(*(row["points"][place]["scores"][name] for row in rows), strict=True):
        known = [_solved(v) if task else v for values in prompt for v in values if v is not None]
        found.append(statistics.fmean(known) if known else math.nan)
    return found


def _at(row: Row, step: int) -> Row:
    point: Row = next(point for point in row["points"] if point["step"] == step)
    return point


def _solved(value: float) -> float:
    return float(value >= RIGHT)


def _mean_of(scores: Sequence[Sequence[float | None]]) -> float | None:
    known = [v for values in scores for v in values if v is not None]
    return statistics.fmean(known) if known else None
