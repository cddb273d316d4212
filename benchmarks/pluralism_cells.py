"""All cells of the pluralism study in the order they run, and the folder that keeps them."""

from __future__ import annotations

import ast
import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pluralism_data import Budget
from pluralism_few import choice_cells, gpo_cells, in_context_cells, tuned_cells
from pluralism_many import imitation_cells, robust_cells, skew_cells
from pluralism_model import Cell, Result, Study

import charter
from charter.rundir import sha256_json

MEASURED_BY = (
    *("pluralism_data.py", "pluralism_model.py", "pluralism_few.py", "pluralism_many.py"),
    *("testing/survey.py", "testing/survey_questions.py", "data/survey.py", "data/beliefs.py"),
    *("data/people_groups.py", "evaluation/pluralism/asking.py", "evaluation/pluralism/wording.py"),
    *("evaluation/suite/distance.py", "feedback/gpo/baselines.py", "feedback/gpo/features.py"),
    *("feedback/gpo/points.py", "feedback/gpo/predictor.py", "feedback/gpo/train.py", "models/gpo.py"),
    *("objectives/gpo.py", "objectives/belief.py", "objectives/group_robust.py"),
)
"""Source files whose code a cell's numbers follow from; a change of any of them makes every cell anew."""

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


def key_of(model: str, budget: Budget) -> str:
    """Folder of the cells of these settings and this code."""
    return f"{settings_of(model, budget)}-{code_digest(source_files())[:12]}"


def source_files() -> list[Path]:
    """Where :data:`MEASURED_BY` are."""
    here, package = Path(__file__).parent, Path(charter.__file__).parent
    return [here / name if name.startswith("pluralism_") else package / name for name in MEASURED_BY]


def code_digest(files: Sequence[Path]) -> str:
    """Of the code in ``files``; comments, docstrings and line breaks do not count."""
    digest = hashlib.sha256()
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body: Any = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [one for one in body if not _is_words(one)]  # type: ignore[attr-defined]
        digest.update(f"{file.name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def _is_words(node: ast.AST) -> bool:
    """A text by itself, which does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def timed(cell: Cell, study: Study) -> Result:
    """The cell's result with its time."""
    began = time.perf_counter()
    found = cell.run(study)
    return {"cell": cell.name, **found, "seconds": round(time.perf_counter() - began, 1)}
