"""All cells of the pluralism study in the order they run, and the settings that they share."""

from __future__ import annotations

import time
from dataclasses import asdict

from pluralism_budget import Budget
from pluralism_few import choice_cells, gpo_cells, in_context_cells, tuned_cells
from pluralism_many import imitation_cells, robust_cells, skew_cells
from pluralism_model import Cell, Result, Study
from pluralism_version import version_of

from charter.rundir import sha256_json

_COUNTS = ("seeds", "model_draws")
"""How many cells there are, which changes none of them."""


def cells_of(budget: Budget) -> list[Cell]:
    """Every cell, the cheapest and the most telling first."""
    chosen = choice_cells(budget)
    made = [*gpo_cells(budget)[:2], *skew_cells(budget), *in_context_cells(budget, 0)]
    made += [one for one in chosen if one.name.startswith("choose/gpo/")] + gpo_cells(budget)[2:]
    made += [one for one in chosen if one.name.startswith("choose/fine-tuned/")] + tuned_cells(budget, 0)
    made += robust_cells(0)
    for draw in range(1, budget.model_draws):
        made += in_context_cells(budget, draw) + tuned_cells(budget, draw)
    for seed in range(1, budget.seeds):
        made += robust_cells(seed)
    return made + imitation_cells(budget)


def settings_of(model: str, budget: Budget) -> str:
    """Digest of what was measured, whatever code did it and however many times."""
    return sha256_json([model, {k: v for k, v in asdict(budget).items() if k not in _COUNTS}])[:12]


def timed(cell: Cell, study: Study) -> Result:
    """The cell's result with its time."""
    began, code = time.perf_counter(), version_of(cell.kind)
    found = cell.run(study)
    return {"cell": cell.name, "code": code, **found, "seconds": round(time.perf_counter() - began, 1)}
