"""The memory plan of ``charter check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.catalogue import Entry, TrainOptions
    from charter.models.memory import MemoryPlan
    from charter.pipeline.recipe import Recipe

_PIPE_WIDTH = 100
"""Columns when the output is a file or a pipe."""

_ORDER = (
    "policy",
    "compute copies",
    "adapter",
    "reference",
    "reward model",
    "critic",
    "sampler",
    "rollouts cache",
    "gradients",
    "optimizer",
    "activations",
    "head",
)


def plans_for(
    model: str, options: TrainOptions | None = None, entry: Entry | None = None
) -> Sequence[MemoryPlan]:
    """Full fine-tuning and LoRA of ``model``; empty where its size is not known without fetching it."""
    from charter.catalogue import TrainOptions
    from charter.models import cache
    from charter.models.hub import resolve
    from charter.models.memory import plan, read_shape
    from charter.models.named import NAMED

    here = {found.name for found in cache.listing()}
    if (model in NAMED and model not in here) or (model not in here and not Path(model).exists()):
        return ()
    folder = resolve(model)
    if not (folder / "config.json").exists():
        return ()
    shape = read_shape(folder)
    if shape is None:
        return ()
    settings = options or TrainOptions()
    return [plan(shape, settings, entry, lora=lora) for lora in (False, True)]


def recipe_plans(recipe: Recipe) -> dict[str, Sequence[MemoryPlan]]:
    """The plans of each train stage of a recipe, by what the stage is called."""
    from charter.catalogue import lookup

    found = {}
    for number, (kind, stage) in enumerate(recipe.stages, start=1):
        if kind == "train":
            entry = lookup(stage.algorithm)
            found[f"stage {number}: train {entry.name}"] = plans_for(
                recipe.model_source(), recipe.options[number], entry
            )
    return found


def plans_json(plans: Sequence[MemoryPlan]) -> list[dict[str, Any]]:
    """Plain data."""
    return [plan.to_json() for plan in plans]


def print_plans(title: str, plans: Sequence[MemoryPlan], *, choice: bool = True) -> None:
    """Print plans side by side; with ``choice`` the one the options say is marked."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_PIPE_WIDTH)
    if not plans:
        console.print(f"{title}: memory not planned (the model is not here yet, or of an unknown kind)")
        return
    names = sorted({part.name for plan in plans for part in plan.parts}, key=_ORDER.index)
    console.print(title, style="bold")
    table = Table("", box=None, padding=(0, 2, 0, 0))
    for plan in plans:
        marked = choice and plan.chosen
        title = f"{plan.title} (chosen)" if marked else plan.title
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for name in names:
        parts = [next((p for p in plan.parts if p.name == name), None) for plan in plans]
        notes = dict.fromkeys(part.note for part in parts if part is not None and part.note)
        table.add_row(name, *("" if p is None else size(p.bytes) for p in parts), Text("; ".join(notes)))
    table.add_row(Text("in all", style="bold"), *(size(plan.total) for plan in plans), "")
    console.print(table)


def size(count: int) -> str:
    """Bytes in words: ``1.3 GB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B" if count else "-"
