"""How many tokens the cells of the online study cost, and how long that takes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from online_plan import (
    BASE_GENERATIONS,
    END_GENERATIONS,
    Setting,
    cells_of_study,
    chosen_tasks,
    finished_row,
    settings_of,
)

RATES = {"sampling": 600.0, "forward": 700.0, "training": 200.0}
"""Tokens a second with LoRA on two cores, from which ``--plan`` estimates times."""
LOADING, PROMPT_TOKENS, TASK_PROMPT_TOKENS = 12.0, 8, 60


@dataclass(frozen=True)
class Work:
    """Tokens of one cell."""

    sampled: float
    forward: float
    trained: float

    @property
    def seconds(self) -> float:
        """By :data:`RATES`."""
        return (
            LOADING
            + self.sampled / RATES["sampling"]
            + self.forward / RATES["forward"]
            + self.trained / RATES["training"]
        )


def work_of(setting: Setting, args: argparse.Namespace) -> Work:
    """Tokens a cell samples, passes forward and trains, by what its options say."""
    if setting.part == "toy":
        return Work(0, 0, 0)
    prompt = TASK_PROMPT_TOKENS if setting.task else PROMPT_TOKENS
    if setting.part == "best-of-n":
        return Work(args.eval_prompts * (BASE_GENERATIONS * args.tokens + prompt), 0, 0)
    n, each = setting.rollouts, setting.tokens
    group = _generations(setting)
    stream = n * each + n / group * prompt  # a prompt is computed once a group
    answers = setting.points + END_GENERATIONS  # one a point, more at the end, one before the start
    sampled = n * each + args.eval_prompts * (answers * each + (setting.points + 1) * prompt)
    compared = 1 if setting.task else setting.points + END_GENERATIONS - 1
    measured = args.eval_prompts * compared * 2 * (each + prompt)
    if setting.algorithm == "nash-md":
        sampled += n / 2 * each  # half of them run two models
    return Work(
        sampled,
        setting.passes * setting.trained * stream + measured,
        setting.models * setting.trained * stream,
    )


def _generations(setting: Setting) -> int:
    from charter.catalogue import ENTRIES

    if setting.algorithm == "dpo":
        return 2
    fields = ENTRIES[setting.algorithm].options.model_fields
    return int(setting.options.get("num_generations", fields["num_generations"].default))


def plan(args: argparse.Namespace, cache: Path) -> str:
    """The cells with their tokens and seconds, estimated and, where finished, measured."""
    cells = cells_of_study(args)
    lines = ["setting                seeds  sampled  forward  trained  seconds  measured"]
    total = 0.0
    for setting in settings_of(args):
        own = [cell for cell in cells if cell.setting.name == setting.name]
        work = work_of(setting, args)
        total += work.seconds * len(own)
        known = [row["seconds_all"] for cell in own if (row := finished_row(cell, cache, args))]
        lines.append(
            f"{setting.name:22} {len(own):5}  {work.sampled:7.0f}  {work.forward:7.0f}  {work.trained:7.0f}  "
            f"{work.seconds:7.0f}  {_mean(known)}"
        )
    left = sum(work_of(c.setting, args).seconds for c in cells if not c.finished(cache, args))
    lines.append(f"tokens and seconds of one seed; {len(cells)} cells, about {total / 3600:.1f} h in all")
    lines.append(f"left: about {left / 3600:.1f} h")
    if not chosen_tasks():
        lines.append(
            "without the reasoning-gym tasks: --probe chooses them, or the study does when it starts"
        )
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):8.0f}" if values else "        "
