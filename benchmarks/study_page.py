"""The offline study as a results file, a page, plots, and the catalogue's *measured here* column."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from study_parts import Row, interval, read_cell
from study_plan import SPECIAL_DATA, SWEEPS, Cell
from study_plots import scatter, sweep
from study_time import costs

from charter.rundir import now, write_json

COMMAND = "python benchmarks/offline_study.py"
PAGE, WHERE = Path("docs/results/offline.md"), "docs/results/offline.md"
PICTURES = Path("docs/images")
SAID = Path(__file__).resolve().parent / "data" / "offline_findings.md"


def write_results(cells: Sequence[Cell], cache: Path, result: Path, root: Path) -> int:
    """Everything that is made of finished cells; 1 where cells are missing."""
    found = [read_cell(cell.file(cache)) for cell in cells if cell.file(cache).exists()]
    if not found:
        print("no cell has finished")
        return 1
    missing = [cell.name for cell in cells if not cell.file(cache).exists()]
    by_setting: dict[tuple[str, float | None, bool], list[Row]] = defaultdict(list)
    for row in found:
        by_setting[row["algorithm"], row["beta"], row["default_beta"]].append(row)
    cost = costs(cache)
    settings = sorted(
        ({**summary(rows), "cost": cost.get(rows[0]["algorithm"])} for rows in by_setting.values()),
        key=lambda s: -s["win_rate"][0],
    )
    base = {"reward": _base_reward(cache)}
    result.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        result,
        {
            "command": COMMAND,
            "date": now(),
            "machine": found[0]["machine"],
            "device": sorted({row["device"] for row in found}),
            "versions": found[0]["versions"],
            "missing": missing,
            "base": base,
            "rows": settings,
            "cells": [{k: v for k, v in row.items() if k not in _NOT_OUTCOMES} for row in found],
        },
    )
    defaults = [s for s in settings if s["default_beta"]]
    write_json(root / "src/charter/catalogue/measured.json", _measured(defaults))
    (root / PICTURES).mkdir(exist_ok=True)
    (root / PICTURES / "offline_reward_kl.svg").write_text(
        scatter(defaults, base["reward"]), encoding="utf-8"
    )
    (root / PICTURES / "offline_beta.svg").write_text(sweep(settings, sorted(SWEEPS)), encoding="utf-8")
    (root / PAGE).write_text(page(settings, found, missing, base["reward"]), encoding="utf-8")
    print(table(defaults))
    if missing:
        print(f"{len(missing)} of {len(cells)} cells are missing, the first: {missing[0]}")
    return 1 if missing else 0


def summary(rows: Sequence[Row]) -> Row:
    """One method at one beta over its seeds; intervals resample prompts."""
    first = rows[0]
    values: Row = {
        "algorithm": first["algorithm"],
        "beta": first["beta"],
        "default_beta": first["default_beta"],
        "seeds": len(rows),
        "win_rate": interval([row["wins"] for row in rows]),
        "win_rate_seeds": [statistics.fmean(row["wins"]) for row in rows],
        "reward": interval([row["rewards"] for row in rows]),
    }
    for name in _MEANS:
        of_seeds = [row[name] for row in rows]
        values[name] = statistics.fmean(of_seeds)
        values[f"{name}_seeds"] = of_seeds
    return values


_MEANS = (
    "kl",
    "words",
    "finished",
    "distinct",
    "nll_base",
    "moved_chosen",
    "moved_rejected",
)
_NOT_OUTCOMES = ("machine", "versions", "device", "seconds", "cpu_seconds", "memory_mib")
"""Not of the cells: cells may share the machine with other work, so cost is measured apart."""


def _base_reward(cache: Path) -> float:
    rewards = read_cell(cache / "data.json")["base_rewards"]
    return statistics.fmean(value for values in rewards for value in values)


def _measured(defaults: Sequence[Row]) -> Row:
    return {
        s["algorithm"]: {
            "win_rate": [round(v, 3) for v in s["win_rate"]],
            "kl": round(s["kl"], 2),
            "length": round(s["words"], 1),
            "seconds_per_step": None if s["cost"] is None else round(s["cost"]["seconds"][0], 2),
            "where": WHERE,
        }
        for s in defaults
    }


_HEAD = (
    "| method | beta | win rate against base | reward | KL | words | ended | better answers "
    "| worse answers | seconds a step | memory, MiB |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
)


def table(settings: Sequence[Row]) -> str:
    """One row per setting, in the order given."""
    return _HEAD + "\n".join(_line(s) for s in settings) + "\n"


def _line(s: Row) -> str:
    win, reward = s["win_rate"], s["reward"]
    beta = "-" if s["beta"] is None else f"{s['beta']:g}"
    cells = (
        s["algorithm"],
        beta,
        f"{win[0]:.0%} [{win[1]:.0%}, {win[2]:.0%}]",
        f"{reward[0]:.2f} [{reward[1]:.2f}, {reward[2]:.2f}]",
        _over_seeds(s, "kl", "{:.1f}"),
        _over_seeds(s, "words", "{:.0f}"),
        _over_seeds(s, "finished", "{:.0%}"),
        _over_seeds(s, "moved_chosen", "{:+.1f}"),
        _over_seeds(s, "moved_rejected", "{:+.1f}"),
        _spread(s, "seconds", "{:.2f}"),
        _spread(s, "memory_mib", "{:.0f}"),
    )
    return "| " + " | ".join(cells) + " |"


def _said() -> str:
    """What a person read from the numbers; it stands apart, so that a page made again keeps it."""
    return f"## What it shows\n\n{SAID.read_text(encoding='utf-8').strip()}\n\n" if SAID.exists() else ""


def _left_out() -> str:
    """The methods that could not be compared on these data, and why."""
    said = "; ".join(f"{name} ({why})" for name, why in SPECIAL_DATA.items())
    return f"Methods that need more than these pairs tell: {said}."


def _over_seeds(s: Row, name: str, form: str) -> str:
    """Mean and range over seeds; one number where they agree as printed."""
    middle, low, high = (form.format(v) for v in (s[name], min(s[f"{name}_seeds"]), max(s[f"{name}_seeds"])))
    return middle if low == high else f"{middle} ({low} to {high})"


def _spread(s: Row, name: str, form: str) -> str:
    """Median and range over rounds; one number where they agree as printed."""
    if s["cost"] is None:
        return "not measured"
    middle, low, high = (form.format(value) for value in s["cost"][name])
    return middle if low == high else f"{middle} [{low}, {high}]"


def page(settings: Sequence[Row], found: Sequence[Row], missing: Sequence[str], base_reward: float) -> str:
    """The page, but for what only a person can say about it."""
    defaults = [s for s in settings if s["default_beta"]]
    sweeps = sorted(
        (s for s in settings if s["algorithm"] in SWEEPS), key=lambda s: (s["algorithm"], s["beta"])
    )
    devices = ", ".join(sorted({row["device"] for row in found}))
    seeds = max(s["seeds"] for s in settings)
    incomplete = f"\n{len(missing)} cells are missing.\n" if missing else ""
    return f"""# Offline methods on the same budget

Made by `{COMMAND}`. Device: {devices}. One cell again: `{COMMAND} --cell dpo,0.1,seed0`.
Numbers of every cell: `benchmarks/results/offline_study.json`.
{incomplete}
**Budget.** The default model, LoRA of rank 16 on all linear layers, 256 pairs of the model's own
answers (eight to a prompt, temperature 1, at most 48 tokens), better and worse by the quickstart
constitution's rules; one pass in 32 steps of 8 pairs; AdamW at 2e-4, constant after 4 steps of
warm-up, for every method alike. Methods on labelled answers see the same answers one by one.
{seeds} seeds: order, adapter and sampling.

**Measures.** On {len(found[0]["rewards"])} held-out prompts, one sampled answer each (temperature
1, at most 48 tokens). *Reward*: share of the applicable principles an answer passes (base model:
{base_reward:.2f}). *Win rate*: reward above the base model's answer to the same prompt, ties count
half. *KL* to the base model in nats per sequence, exact per token. *Better* and *worse answers*:
mean change of the log-prob of the training pairs' answers, in nats; a falling better side is
likelihood displacement. Intervals in square brackets are 95%, resampling prompts with the answers of
all seeds; round brackets hold the lowest and the highest of the seeds.
*Seconds a step* and peak *memory* of the
process were measured apart (`--time`) on the same few steps for every method, in fresh processes:
the mean of a step, and in square brackets its range over rounds that go through the methods forwards and
backwards on an otherwise idle machine. The log-probs of the reference, scored once for all methods, are
not in them.

One learning rate for all is not the best for each: read the table as what happens at the default
beta on this budget, not as a ranking for all budgets.

**Not here.** {_left_out()}

{_said()}## Every method at its default beta

{table(defaults)}
![Reward against KL](../images/offline_reward_kl.svg)

Blue: pairs with a reference; orange: pairs without one; green: labelled answers; purple: imitation.

## Beta

{table(sweeps)}
![Reward and KL over beta](../images/offline_beta.svg)
"""
