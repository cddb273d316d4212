"""What the online study found, as a results file, tables and plots."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from online_plan import COMMAND, settings_of
from online_plots import against_kl, draw, over_steps
from online_summary import (
    best_of,
    difference,
    first_steps,
    gain,
    interval_at,
    levels_of,
    read_at,
    summaries,
    summary,
    toy_table,
)
from study_parts import Row

from charter.rundir import now

KL_AXIS = "square root of the KL to the base model (nats per completion)"
FIRST_HALF = "ppo, first half"
STALENESS = ("online-dpo", "online-dpo-stale", "offline-dpo")
SHARED = {
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "adam_beta2",
    "use_peft",
    "lora_r",
    "save_steps",
    "seed",
    "reward_funcs",
    "temperature",
    "watchdog",
}
"""Options that all settings have in common, which the page says once."""

_SHOWN = ("model", "seeds", "rollouts", "tokens", "eval_prompts", "learning_rate", "reward")


_NOT_KEPT = ("machine", "versions", "texts")


class Study:
    """What is known, part by part.

    Args:
        args: of the command line.
        rows: finished cells.
        missing: names of the others.
    """

    def __init__(self, args: argparse.Namespace, rows: Sequence[Row], missing: Sequence[str]) -> None:
        self.args, self.rows, self.missing = args, rows, missing
        self.label = "VADER" if args.reward == "vader" else "reward"
        self.titles = {setting.name: setting.title for setting in settings_of(args)}
        self.settings = summaries(rows)
        self.of: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self.of[row["setting"]].append(row)
        self.best = best_of(self.of["best-of-n"]) if self.of["best-of-n"] else []
        self._add_first_half()
        self.toy = toy_table(self.of["toy"][0]["toy"]) if self.of["toy"] else []

    def _add_first_half(self) -> None:
        """The frontier's PPO after as many rollouts as its ablations had."""
        seeds = sorted({row["seed"] for row in self.rows if row["part"] == "ppo"})
        if cells := first_steps(self.of["ppo"], 0.5, seeds):
            self.of[FIRST_HALF] = [{**row, "setting": FIRST_HALF, "part": "ppo"} for row in cells]
            self.settings[FIRST_HALF] = summary(self.of[FIRST_HALF])
            self.titles[FIRST_HALF] = (
                "advantages normalised, rounds of 64 in steps of 32, the reference stays"
            )

    def part(self, name: str) -> list[Row]:
        """Settings of a part, in the order of the plan."""
        return [
            self.settings[n] for n in self.titles if n in self.settings and self.settings[n]["part"] == name
        ]

    def results(self) -> Row:
        """What goes into the results file."""
        first = self.rows[0]
        return {
            "command": COMMAND,
            "date": now(),
            "machine": first["machine"],
            "device": sorted({row["device"] for row in self.rows}),
            "versions": first["versions"],
            "settings": {k: v for k, v in vars(self.args).items() if k in _SHOWN},
            "missing": list(self.missing),
            "rows": list(self.settings.values()),
            "best_of_n": self.best,
            "toy": self.toy,
            "cells": [{k: _numbers(v) for k, v in row.items() if k not in _NOT_KEPT} for row in self.rows],
        }

    def drawings(self) -> dict[str, str]:
        """The plots by the end of their file names."""
        frontier = self.part("frontier")
        stale = [self.settings[name] for name in STALENESS if name in self.settings]
        return {
            "reward_kl": draw(against_kl(frontier, self.best, "reward"), KL_AXIS, f"{self.label}, held-out"),
            "held_out_kl": draw(against_kl(frontier, self.best, "held_out"), KL_AXIS, "AFINN, held-out"),
            "ppo": draw(against_kl(self.part("ppo"), [], "reward"), KL_AXIS, f"{self.label}, held-out"),
            "staleness": draw(against_kl(stale, [], "reward"), KL_AXIS, f"{self.label}, held-out"),
            "tasks": draw(
                over_steps(self.part("tasks")), "optimizer steps", "share of right answers, held-out"
            ),
        }

    # -- tables ------------------------------------------------------------------------

    def frontier_table(self) -> str:
        """The end of every method, and its reward at the same KL."""
        settings = self.part("frontier")
        levels = levels_of(settings)
        head = ["method", "seeds", self.label, "AFINN", "KL"]
        head += [f"{self.label} at KL {level:g}" for level in levels]
        head += ["words", "different", "nats a token under the base", "seconds", "memory, MiB"]
        lines = []
        for s in sorted(settings, key=lambda s: -s["points"][-1]["reward"][0]):
            end = s["points"][-1]
            scores = [ci(end["reward"]), ci(end["held_out"]), f"{end['kl']:.2f}"]
            text = [f"{s['words']:.0f}", f"{s['distinct']:.0%}", f"{s['nll_base']:.2f}"]
            cost = [f"{s['seconds']:.0f}", f"{s['memory_mib']:.0f}"]
            at = [_cell(interval_at(self.of[s["setting"]], level)) for level in levels]
            lines.append([s["setting"], f"{s['seeds']}", *scores, *at, *text, *cost])
        for b in self.best[:1] + self.best[-1:]:
            name = "base model" if b["n"] == 1 else f"best of {b['n']}"
            at = ["-"] * len(levels) if b["n"] == 1 else self._best_at(levels)
            scores = [ci(b["reward"]), ci(b["held_out"]), f"{b['kl']:.2f}"]
            lines.append([name, f"{len(self.of['best-of-n'])}", *scores, *at, *["-"] * 5])
        return table(head, lines)

    def _best_at(self, levels: Sequence[float]) -> list[str]:
        kls, scores = [b["kl"] for b in self.best], [b["reward"][0] for b in self.best]
        found = [read_at(kls, scores, level) for level in levels]
        return ["not reached" if value is None else f"{value:.2f}" for value in found]

    def answers(self) -> str:
        """What each method of the frontier makes of the first held-out opening."""
        lines = []
        for s in self.part("frontier"):
            texts = self.of[s["setting"]][0]["points"][-1]["texts"][0]
            lines.append([s["setting"], " ".join(texts[0].split()).replace("|", "\\|")])
        return table(["method", "completion"], lines)

    def best_table(self) -> str:
        """Best of n."""
        return table(
            ["n", "completions", self.label, "AFINN", "KL at most"],
            [
                [f"{b['n']}", f"{b['completions']}", ci(b["reward"]), ci(b["held_out"]), f"{b['kl']:.2f}"]
                for b in self.best
            ],
        )

    def compared_table(self, names: Sequence[str], base: str) -> str:
        """Settings beside one of them, with paired differences."""
        reward = self.label
        head = ["setting", "what", "seeds", reward, "AFINN", "KL", f"{reward}, less {base}"]
        lines = []
        for name in names:
            if name not in self.settings:
                continue
            s, end = self.settings[name], self.settings[name]["points"][-1]
            less = "-"
            if name != base and base in self.settings:
                less = ci(difference(self.of[name], self.of[base], "reward"), sign=True)
            scores = [ci(end["reward"]), ci(end["held_out"]), f"{end['kl']:.2f}"]
            lines.append([name, self.titles[name], f"{s['seeds']}", *scores, less])
        return table(head, lines)

    def tasks_table(self) -> str:
        """Share of right answers on held-out tasks, before and after."""
        lines = []
        for s in self.part("tasks"):
            start, end = s["points"][0], s["points"][-1]
            rates = [ci(point["reward"], percent=True) for point in (start, end)]
            more = ci(gain(self.of[s["setting"]]), sign=True, percent=True)
            unscored = sum(point["missing"] for point in s["points"])
            task = f"`{self.titles[s['setting']]}`"
            lines.append([task, f"{s['seeds']}", *rates, more, f"{end['kl']:.2f}", f"{unscored}"])
        return table(["task", "seeds", "right before", "right after", "gain", "KL", "not scored"], lines)

    def toy_lines(self) -> str:
        """The toy."""
        lines = []
        for t in self.toy:
            shares = [ci(t[name], percent=True) for name in ("unseen", "raised")]
            lines.append([f"{t['seen']} of 8", t["policy"], *shares, ci(t["worth"]), ci(t["kl"])])
        head = ["in pairs", "policy", "on answers in no pair", "poor ones raised", "true worth", "KL"]
        return table(head, lines)

    def options_table(self) -> str:
        """What each setting was given beside what all share."""
        lines = [
            [
                name,
                s["algorithm"],
                ", ".join(f"`{k}={v}`" for k, v in s["options"].items() if k not in SHARED),
            ]
            for name, s in self.settings.items()
        ]
        return table(["setting", "algorithm", "options"], lines)


def _cell(value: Sequence[float] | None) -> str:
    return "not reached" if value is None else ci(value)


def _numbers(value: Any) -> Any:
    """Without the texts of points."""
    if not isinstance(value, list):
        return value
    return [{k: v for k, v in one.items() if k != "texts"} if isinstance(one, dict) else one for one in value]


def ci(value: Sequence[float], *, sign: bool = False, percent: bool = False) -> str:
    """A mean with its interval."""
    form = f"{'+' if sign else ''}.{'0%' if percent else '2f'}"
    return f"{value[0]:{form}} [{value[1]:{form}}, {value[2]:{form}}]"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
