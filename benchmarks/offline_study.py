"""Every offline preference method on the same budget, and what it costs.

    python benchmarks/offline_study.py                      # all cells that are not known yet, then the page
    python benchmarks/offline_study.py --cell dpo,0.1,seed0 # one cell, measured again
    python benchmarks/offline_study.py --time               # what a step costs, on an idle machine
    python benchmarks/offline_study.py --page               # only the page, from what is known

Budget of a cell: LoRA of rank 16, 256 pairs, completions of at most 48 tokens, one pass in steps of
8 pairs. Every pair and unpaired objective of the catalogue at its default beta, and a sweep of beta
for DPO, IPO and KTO, each with three seeds. Finished cells are kept under ``--cache`` one file each,
so the same command continues an interrupted study.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from study_plan import cells_of_study, parse_cell
from study_runner import Process, check, run_missing, show, start_worker
from study_time import parse_timing, run_timing, timings

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "offline_study.json"


def main() -> int:
    """Run what is missing, then write results, page and plots."""
    args = _arguments()
    if args.worker:
        return _work(args)
    cache = Path(args.cache)
    if args.time:
        left = [timing for timing in timings(args.rounds) if not timing.file(cache).exists()]
        run_missing(left, cache, lambda names: _start(names, args), limit=args.limit)
        return 0
    cells = cells_of_study(args.seeds)
    if args.cell:
        cells = [parse_cell(args.cell)]
        cells[0].file(cache).unlink(missing_ok=True)
    missing = [cell for cell in cells if not cell.file(cache).exists()]
    if missing and not args.page:
        _prepare(args)
        run_missing(missing, cache, lambda names: _start(names, args), workers=args.workers, limit=args.limit)
    if args.cell:
        return show(cells[0].file(cache))
    from study_page import write_results

    return write_results(cells_of_study(args.seeds), cache, RESULT, ROOT)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--cell", help="ALGORITHM,BETA,seedN: measure one cell again")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--time", action="store_true", help="only time a few steps of every method")
    parser.add_argument("--rounds", type=int, default=2, help="how often --time times each method")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=48, help="most tokens of a completion")
    parser.add_argument("--eval-prompts", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--workers", type=int, default=1, help="processes at once; more than 1 only on a GPU")
    parser.add_argument("--limit", type=float, help="start no further cell after so many seconds")
    parser.add_argument("--cache", default=str(ROOT / "runs" / "offline_study"))
    parser.add_argument("--worker", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def _work(args: argparse.Namespace) -> int:
    if args.worker[0].startswith("time:"):
        for name in args.worker:
            run_timing(parse_timing(name), args)
        return 0
    from study_cell import run_cells

    run_cells([parse_cell(name) for name in args.worker], args)
    return 0


def _prepare(args: argparse.Namespace) -> None:
    """Sample and label the data once; every cell reads the same file."""
    if not (Path(args.cache) / "data.json").exists():
        check(_start(["prepare"], args).wait(), "sampling the data")


def _start(names: Sequence[str], args: argparse.Namespace) -> Process:
    passed = {key: value for key, value in vars(args).items() if key in _PASSED}
    return start_worker(__file__, names, Path(args.cache), passed)


_PASSED = {"model", "pairs", "tokens", "eval_prompts", "learning_rate", "cache"}


if __name__ == "__main__":
    sys.exit(main())
