"""Preferences of groups: GPO on new groups, GDPO against DPO's majority, group-robust DPO's worst group.

    python benchmarks/pluralism_study.py                # all cells that are not known yet, then the page
    python benchmarks/pluralism_study.py --plan         # what there is to do, and how long it may take
    python benchmarks/pluralism_study.py --page         # only the page, from what is known
    python benchmarks/pluralism_study.py --only skew    # only cells of a kind; may run beside others

Finished cells are kept under ``--cache``, one file each, in a folder for these settings: the same command
continues a stopped study. A cell counts only with the code that measured it; changed code measures it anew.
A page is not written over by one that knows less, or that is of other settings, without ``--overwrite``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pluralism_budget import Budget
from pluralism_cells import cells_of, settings_of, timed
from pluralism_model import Cell, Result, Study
from pluralism_page import PAGE, ROOT, check_page, write_results
from pluralism_version import finished

from charter.errors import ConfigError, Interrupted, UserError, did_you_mean
from charter.interrupt import graceful
from charter.progress import say
from charter.rundir import write_json

MINUTES = {
    "baselines": 0.5,
    "choose": 4.0,
    "gpo": 1.0,
    "in-context": 2.0,
    "fine-tuned": 1.0,
    "skew": 2.5,
    "robust": 3.0,
}
"""Of a cell by its kind, on one core: an estimate."""


def main() -> int:
    """Run what is missing, then write the page."""
    args = _arguments()
    budget = Budget(seeds=args.seeds, model_draws=args.draws)
    study = Study(args.model, Path(args.cache) / settings_of(args.model, budget), budget)
    cells = cells_of(budget)
    try:
        wanted = of_kinds(cells, args.only)
        if args.plan:
            print("\n".join(plan_lines(wanted, study.cache)))
            return 0
        if not args.page:
            run_missing(wanted, study, args.limit)
        finish(cells, study, Path(args.out), overwrite=args.overwrite)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except Interrupted as error:
        print(error, file=sys.stderr)
        return 130
    return 0


def of_kinds(cells: Sequence[Cell], kinds: Sequence[str]) -> list[Cell]:
    """Cells of some kinds; none named = all.

    Raises:
        ConfigError: there is no such kind.
    """
    known = list(dict.fromkeys(cell.kind for cell in cells))
    for kind in kinds:
        if kind not in known:
            raise ConfigError(f"no cells of kind {kind!r}; {did_you_mean(kind, known)}", where="--only")
    return [cell for cell in cells if not kinds or cell.kind in kinds]


def missing_of(cells: Sequence[Cell], cache: Path) -> list[Cell]:
    """Cells without a result."""
    return [cell for cell in cells if finished(cell, cache) is None]


def plan_lines(cells: Sequence[Cell], cache: Path) -> list[str]:
    """What there is to do, by kind of cell."""
    left = missing_of(cells, cache)
    lines = []
    for kind in dict.fromkeys(cell.kind for cell in cells):
        count, total = (sum(cell.kind == kind for cell in of) for of in (left, cells))
        lines.append(f"{kind}: {count} of {total} cells left, about {count * MINUTES[kind]:.0f} minutes")
    whole = sum(MINUTES[cell.kind] for cell in left)
    return [*lines, f"in all: {len(left)} cells, about {whole:.0f} minutes on one core (estimated)"]


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


def known(cells: Sequence[Cell], cache: Path) -> dict[str, Result]:
    """Results of this code, by name of cell."""
    found = {cell.name: finished(cell, cache) for cell in cells}
    return {name: result for name, result in found.items() if result is not None}


def finish(cells: Sequence[Cell], study: Study, page: Path, *, overwrite: bool = False) -> None:
    """Write the page, its plots and every number from what is known.

    Raises:
        UserError: nothing is measured, or a page is there that knows more or is of other settings.
    """
    found: Mapping[str, Result] = known(cells, study.cache)
    settings = settings_of(study.model, study.budget)
    if not found:
        raise UserError("no cell is measured with these settings and this code", fix="run without --page")
    if not overwrite:
        check_page(page, settings, len(found))
    write_results(found, cells, study, settings, page)
    say(f"wrote {page}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--seeds", type=int, default=Budget.seeds)
    parser.add_argument("--draws", type=int, default=Budget.model_draws, help="of known questions")
    parser.add_argument("--only", nargs="+", default=(), metavar="KIND", help="only cells of these kinds")
    parser.add_argument("--plan", action="store_true", help="only say what there is to do")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--limit", type=float, help="start no further cell after so many seconds")
    parser.add_argument("--cache", default=str(ROOT / "runs" / "pluralism_study"))
    parser.add_argument("--out", default=str(PAGE), help="the page")
    parser.add_argument("--overwrite", action="store_true", help="whatever the page there knows")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
