"""Preferences of groups: GPO on new groups, GDPO against DPO's majority, group-robust DPO's worst group.

    python benchmarks/pluralism_study.py          # all cells that are not known yet, then the page
    python benchmarks/pluralism_study.py --plan   # what there is to do, and how long it may take
    python benchmarks/pluralism_study.py --page   # only the page, from what is known

Finished cells are kept under ``--cache``, one file each, so the same command continues a stopped study.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pluralism_cells import Cell, Study, cells_of, timed
from pluralism_data import Budget
from pluralism_page import write_page

from charter.interrupt import graceful
from charter.progress import say
from charter.rundir import read_json, sha256_json, write_json

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results" / "pluralism.md"

MINUTES = {"gpo": 3.0, "in-context": 2.0, "fine-tuned": 1.5, "skew": 4.0, "robust": 7.0}
"""Of a cell by its kind: an estimate for the default model on two idle cores; not measured."""


def main() -> int:
    """Run what is missing, then write the page."""
    args = _arguments()
    budget = Budget(seeds=args.seeds)
    study = Study(args.model, Path(args.cache) / key_of(args.model, budget), budget)
    cells = cells_of(budget)
    if args.plan:
        print("\n".join(plan_lines(cells, study.cache)))
        return 0
    if not args.page:
        run_missing(cells, study, args.limit)
    finish(cells, study, PAGE)
    return 0


def key_of(model: str, budget: Budget) -> str:
    """Folder of the cells of these settings."""
    return sha256_json([model, asdict(budget)])[:12]


def missing_of(cells: Sequence[Cell], cache: Path) -> list[Cell]:
    """Cells without a result."""
    return [cell for cell in cells if not cell.file(cache).exists()]


def plan_lines(cells: Sequence[Cell], cache: Path) -> list[str]:
    """What there is to do, by kind of cell."""
    left = missing_of(cells, cache)
    kinds = list(dict.fromkeys(cell.name.split("/")[0] for cell in cells))
    lines = []
    for kind in kinds:
        count = sum(cell.name.startswith(f"{kind}/") for cell in left)
        total = sum(cell.name.startswith(f"{kind}/") for cell in cells)
        lines.append(f"{kind}: {count} of {total} cells left, about {count * MINUTES[kind]:.0f} minutes")
    whole = sum(MINUTES[cell.name.split("/")[0]] for cell in left)
    return [*lines, f"in all: {len(left)} cells, about {whole:.0f} minutes on two idle cores (estimated)"]


def run_missing(cells: Sequence[Cell], study: Study, limit: float | None = None) -> None:
    """Measure what is not known yet, and keep each result at once.

    Raises:
        Interrupted: the person asked to stop; finished cells are kept.
    """
    study.cache.mkdir(parents=True, exist_ok=True)
    began, left = time.monotonic(), missing_of(cells, study.cache)
    with graceful() as stop:
        for index, cell in enumerate(left):
            stop.check("stopped between cells", fix="start again: finished cells are kept")
            if limit is not None and time.monotonic() - began > limit:
                say(f"time is up: {len(left) - index} cells are left")
                return
            say(f"cell {index + 1} of {len(left)}: {cell.name}")
            write_json(cell.file(study.cache), timed(cell, study))


def finish(cells: Sequence[Cell], study: Study, page: Path) -> None:
    """Write the page from what is known."""
    found = {}
    for cell in cells:
        result = read_json(cell.file(study.cache))
        if result is not None:
            found[cell.name] = result
    write_page(found, len(cells), study.budget, study.model, page)
    say(f"wrote {page}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--plan", action="store_true", help="only say what there is to do")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--limit", type=float, help="start no further cell after so many seconds")
    parser.add_argument("--cache", default=str(ROOT / "runs" / "pluralism_study"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
