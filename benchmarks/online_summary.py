"""Cells of the online study over their seeds: means, intervals, differences, reward at a KL."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from online_resample import Array, interval_of_statistic, interval_over
from study_parts import Row, interval_of

from charter.stats.best_of_n import best_of_n, kl_bound

RIGHT = 0.99
"""A task is solved where its score reaches this."""

SIZES = (1, 2, 4, 8, 16, 32)
"""Of best of n; 16 to each of 48 openings are the 768 completions of the budget."""
LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""KL, nats, at which methods may be compared."""


def summaries(rows: Sequence[Row]) -> dict[str, Row]:
    """Trained settings by name, each over its seeds."""
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if "points" in row:
            by_name[row["setting"]].append(row)
    return {name: summary(found) for name, found in by_name.items()}


def summary(rows: Sequence[Row]) -> Row:
    """One setting over its seeds; intervals draw seeds and prompts."""
    first = rows[0]
    names = list(first["points"][0]["scores"])
    points = []
    for step in _steps(rows):
        here = [_at(row, step) for row in rows]
        kls = [point["kl"] for point in here if point["kl"] is not None]
        point: Row = {"step": step, "kl": statistics.fmean(kls) if kls else None}
        for name in names:
            point[name] = interval_over(matrix(rows, step, name))
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


def first_steps(rows: Sequence[Row], share: float, seeds: Sequence[int]) -> list[Row]:
    """The cells of some seeds as they were after a share of their steps."""
    return [
        {**row, "points": [p for p in row["points"] if p["step"] <= share * row["options"]["max_steps"]]}
        for row in rows
        if row["seed"] in seeds
    ]


def matrix(rows: Sequence[Row], step: int, name: str) -> Array:
    """Mean score of each seed's completions of each prompt, ``(S, P)``; NaN = none has a score.

    ``name`` may be ``kls``. Of a task, the share of right answers.
    """
    task = rows[0]["part"] == "tasks" and name != "kls"
    return np.array([_by_prompt(_at(row, step), name, task) for row in rows])


def difference(rows: Sequence[Row], others: Sequence[Row], name: str) -> list[float]:
    """Mean difference of the last scores on the same seeds and prompts, with its 95% interval."""
    seeds = {row["seed"] for row in rows} & {row["seed"] for row in others}
    mine, theirs = (
        matrix(kept := sorted((r for r in found if r["seed"] in seeds), key=_seed), _steps(kept)[-1], name)
        for found in (rows, others)
    )
    return interval_over(mine - theirs)


def gain(rows: Sequence[Row], name: str = "reward") -> list[float]:
    """How much the last scores are above the first, on the same seeds and prompts."""
    steps = _steps(rows)
    return interval_over(matrix(rows, steps[-1], name) - matrix(rows, steps[0], name))


def reward_at(points: Sequence[Row], level: float, name: str = "reward") -> float | None:
    """Score where the KL first reaches ``level``; see :func:`read_at`."""
    known = [(point["kl"], point[name][0]) for point in points if point["kl"] is not None]
    return read_at([kl for kl, _ in known], [score for _, score in known], level)


def read_at(kls: Sequence[float], scores: Sequence[float], level: float) -> float | None:
    """Score where the KL first reaches ``level``, between points straight in sqrt(KL); None = never."""
    for (kl, score), (next_kl, next_score) in pairwise(zip(kls, scores, strict=True)):
        if next_kl < level:
            continue
        low, high = math.sqrt(max(kl, 0.0)), math.sqrt(next_kl)
        share = 1.0 if high <= low else max((math.sqrt(level) - low) / (high - low), 0.0)
        return score + share * (next_score - score)
    return None


def interval_at(rows: Sequence[Row], level: float, name: str = "reward") -> list[float] | None:
    """:func:`read_at` over seeds and prompts with its 95% interval; None where it is not reached."""
    steps = _steps(rows)
    kls = [matrix(rows, step, "kls") for step in steps]
    scores = [matrix(rows, step, name) for step in steps]
    count = len(steps)
    found = interval_of_statistic([*kls, *scores], lambda m: read_at(m[:count], m[count:], level))
    return None if math.isnan(found[0]) else found


def levels_of(settings: Sequence[Row], most: int = 3) -> list[float]:
    """The largest KLs that at least half of the settings reach."""
    reached = [
        level
        for level in LEVELS
        if sum(reward_at(s["points"], level) is not None for s in settings) * 2 >= len(settings)
    ]
    return reached[-most:]


def best_of(rows: Sequence[Row]) -> list[Row]:
    """What choosing the best of n by the reward gives, with the bound of its KL.

    A prompt's completions of all seeds stand together: nothing was trained.
    """
    reward, held_out = (
        [[v for values in prompt for v in values] for prompt in zip(*(_scores(rows, name)), strict=True)]
        for name in ("reward", "held_out")
    )
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
        found.append(
            {
                "n": n,
                "kl": kl_bound(n),
                "completions": n * len(usable),
                "reward": interval_of(proxy),
                "held_out": interval_of(gold),
            }
        )
    return found


def _scores(rows: Sequence[Row], name: str) -> list[list[list[float | None]]]:
    return [row["scores"][name] for row in rows]


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


def _by_prompt(point: Row, name: str, task: bool) -> list[float]:
    """Mean score of each prompt's completions; NaN = none."""
    if name == "kls" and "kls" not in point:  # before training the KL is 0
        return [0.0] * len(point["texts"])
    found = []
    for values in point["kls"] if name == "kls" else point["scores"][name]:
        known = [_solved(v) if task else v for v in values if v is not None]
        found.append(statistics.fmean(known) if known else math.nan)
    return found


def _steps(rows: Sequence[Row]) -> list[int]:
    """Steps at which all of them were measured."""
    return sorted(set.intersection(*({p["step"] for p in row["points"]} for row in rows)))


def _seed(row: Row) -> int:
    seed: int = row["seed"]
    return seed


def _at(row: Row, step: int) -> Row:
    point: Row = next(point for point in row["points"] if point["step"] == step)
    return point


def _solved(value: float) -> float:
    return float(value >= RIGHT)


def _mean_of(scores: Sequence[Sequence[float | None]]) -> float | None:
    known = [v for values in scores for v in values if v is not None]
    return statistics.fmean(known) if known else None
