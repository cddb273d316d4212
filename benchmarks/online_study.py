"""Online methods on one budget: reward against KL, and what PPO, fresh pairs and GRPO are worth.

    python benchmarks/online_study.py                 # all cells that are not known yet, then the page
    python benchmarks/online_study.py --plan          # the cells, their tokens and how long they take
    python benchmarks/online_study.py --probe         # choose the reasoning-gym tasks by success rate
    python benchmarks/online_study.py --cell grpo,seed0   # one cell, measured again
    python benchmarks/online_study.py --page          # only the page, from what is known

Controlled sentiment: 768 rollouts of 32 tokens that continue neutral openings, rewarded by VADER, for
every method alike; AFINN, which nothing is trained on, scores held-out openings too. Then an ablation of
PPO, fresh against stale pairs, GRPO on two tasks with right answers, and DPO against PPO where no pair
says anything. Finished cells are kept under ``--cache`` one file each, so the same command continues an
interrupted study; a cell measured with other settings is measured again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from online_plan import TASKS, cells_of_study, parse_cell
from online_work import plan
from study_runner import Process, check, run_missing, show, start_worker

from charter.feedback.rewards.builtin import require

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "online_study.json"
PROBE = "probe"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing, then write results, page and plots."""
    args = arguments(argv)
    cache = Path(args.cache)
    if args.worker:
        return _work(args)
    if args.plan:
        print(plan(args, cache))
        return 0
    if not args.page:
        for package in ("vaderSentiment", "afinn"):
            require(package)
        if args.probe or not (args.cell or TASKS.exists()):
            require("reasoning_gym", "reasoning-gym")
            check(_start([PROBE], args).wait(), "the probe")
            print((cache / "logs" / f"{PROBE}.log").read_text(encoding="utf-8"))
        if args.probe:
            return 0
    cells = cells_of_study(args)
    if args.cell:
        cells = [parse_cell(args.cell, args)]
        cells[0].file(cache).unlink(missing_ok=True)
    missing = [cell for cell in cells if not cell.finished(cache, args)]
    if missing and not args.page:
        for cell in missing:  # of other settings
            cell.file(cache).unlink(missing_ok=True)
        run_missing(missing, cache, lambda names: _start(names, args), workers=args.workers, limit=args.limit)
    if args.cell:
        return show(cells[0].file(cache))
    from online_page import write_results

    return write_results(args, RESULT, ROOT)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--cell", help="NAME,seedN: measure one cell again")
    parser.add_argument("--plan", action="store_true", help="only say what would be run")
    parser.add_argument("--probe", action="store_true", help="only choose the reasoning-gym tasks")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rollouts", type=int, default=768)
    parser.add_argument("--tokens", type=int, default=32, help="most tokens of a completion")
    parser.add_argument("--eval-prompts", type=int, default=48)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--reward", default="vader", help="what is trained on, as in reward_funcs")
    parser.add_argument("--workers", type=int, default=1, help="processes at once; more than 1 only on a GPU")
    parser.add_argument("--limit", type=float, help="start no further cell after so many seconds")
    parser.add_argument("--cache", default=str(ROOT / "runs" / "online_study"))
    parser.add_argument("--worker", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _work(args: argparse.Namespace) -> int:
    """In a process of its own."""
    if args.worker == [PROBE]:
        from online_probe import probe

        probe(args.model, args.eval_prompts)
        return 0
    from online_cell import run_cells

    run_cells([parse_cell(name, args) for name in args.worker], args)
    return 0


def _start(names: Sequence[str], args: argparse.Namespace) -> Process:
    passed = {key: value for key, value in vars(args).items() if key in _PASSED}
    return start_worker(__file__, names, Path(args.cache), passed)


_PASSED = {"model", "rollouts", "tokens", "eval_prompts", "learning_rate", "reward", "cache"}


if __name__ == "__main__":
    sys.exit(main())
