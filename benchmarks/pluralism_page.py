"""``docs/results/pluralism.md`` from the finished cells."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pluralism_data import HELD_OUT, Budget

from charter.rundir import write_text

Found = Mapping[str, Mapping[str, Any]]
"""Results by name of cell."""

PREDICTORS = (
    "gpo", "in-context", "fine-tuned", "ridge", "nearest group", "nearest option", "group mean", "uniform"
)  # fmt: skip


def write_page(found: Found, cells: int, budget: Budget, model: str, path: Path) -> None:
    """Write the page; what was not measured says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(_lines(found, cells, budget, model)) + "\n")


def _lines(found: Found, cells: int, budget: Budget, model: str) -> Iterator[str]:
    yield "# Preferences of groups, kept apart\n"
    yield "Written by `python benchmarks/pluralism_study.py`, which also goes on where it was stopped.\n"
    minutes = sum(one["seconds"] for one in found.values()) / 60
    yield (
        f"{len(found)} of {cells} cells are measured, in {minutes:.0f} minutes. Model: {model}, LoRA. The "
        f"survey is synthetic (12 groups, {budget.questions} questions, known shares), so every distance is "
        "from the truth: Jensen-Shannon, 0 = the same shares, 1 = none in common.\n"
    )
    yield from _few_shot(found, budget)
    yield from _skew(found)
    yield from _robust(found)


def _few_shot(found: Found, budget: Budget) -> Iterator[str]:
    yield "## New groups, from a few answers\n"
    yield (
        f"Held out: {', '.join(HELD_OUT)}. GPO (2310.11523) learned from the other groups. The language "
        f"model in context and fine-tuned is asked the first {budget.targets} of the same targets; the "
        "others all of them. Mean over groups, worst group in brackets.\n"
    )
    yield f"| predictor | {' | '.join(f'{size} known' for size in budget.sizes)} |"
    yield f"|---|{'---|' * len(budget.sizes)}"
    table = few_shot_table(found)
    for name in PREDICTORS:
        cells = (
            "as in-context" if name == "fine-tuned" and not size else _spread(table.get((name, size), {}))
            for size in budget.sizes
        )
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def few_shot_table(found: Found) -> dict[tuple[str, int], dict[str, float]]:
    """Mean distance of each group, by predictor and number of known answers; seeds are averaged."""
    values: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell, result in found.items():
        if cell.split("/")[0] in ("gpo", "in-context", "fine-tuned"):
            for row in result["rows"]:
                for group, value in row["by_group"].items():
                    values[row["predictor"], row["known"]][group].append(value)
    return {
        key: {group: statistics.fmean(of) for group, of in groups.items()} for key, groups in values.items()
    }


def _spread(groups: Mapping[str, float]) -> str:
    if not groups:
        return "not measured"
    partly = "" if len(groups) == len(HELD_OUT) else f", {len(groups)} of {len(HELD_OUT)} groups"
    return f"{statistics.fmean(groups.values()):.3f} ({max(groups.values()):.3f}{partly})"


def _skew(found: Found) -> Iterator[str]:
    yield "## One model for everybody: does the majority take all?\n"
    yield (
        "All people's preferences together. *Majority* is the model's share of the option most people "
        "choose, less the people's; *peak* the same of whichever option the model likes best. "
        "0 is right for both.\n"
    )
    yield "| method | questions | distance | majority | peak | runs |\n|---|---|---|---|---|---|"
    for name in ("untrained", "dpo", "gdpo"):
        runs = [one for cell, one in found.items() if cell.startswith(f"skew/{name}/")]
        for where in ("trained on", "held out"):
            cells = (_mean([one[where][key] for one in runs], sign) for key, sign in _SKEW)
            yield f"| {name} | {where} | {' | '.join(cells)} | {len(runs)} |"
    yield ""


_SKEW = (("js", ""), ("majority_excess", "+"), ("peak_excess", "+"))


def _robust(found: Found) -> Iterator[str]:
    yield "## The worst-off group\n"
    yield (
        "Preferences of every group, in proportion to its people, with the group named in the prompt. "
        "Distances on questions that were not trained on, where the group is named. gr-dpo is 2405.20304.\n"
    )
    yield "| method | worst group | mean of groups | four smallest groups | runs |\n|---|---|---|---|---|"
    for name in ("untrained", "dpo", "gr-dpo"):
        runs = [one for cell, one in found.items() if cell.startswith(f"robust/{name}/")]
        groups = [{row["group"]: row["steered"]["value"] for row in one["groups"]} for one in runs]
        worst = [max(of.values()) for of in groups]
        small = [statistics.fmean(of[name] for name in _SMALL) for of in groups]
        mean = [statistics.fmean(of.values()) for of in groups]
        yield f"| {name} | {_mean(worst)} | {_mean(mean)} | {_mean(small)} | {len(runs)} |"
    yield ""


_SMALL = (
    "members of a hiking club",
    "villagers in the mountains",
    "night-shift workers",
    "artists who live together",
)


def _mean(values: Sequence[float], sign: str = "") -> str:
    if not values:
        return "not measured"
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.3f}{spread}"
