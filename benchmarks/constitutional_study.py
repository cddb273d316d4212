"""The default model under one constitution: prompted, by URIAL, by DPO from rules, by Constitutional AI.

    python benchmarks/constitutional_study.py             # whatever is not there yet, then the page
    python benchmarks/constitutional_study.py --only urial  # one arm, measured again
    python benchmarks/constitutional_study.py --plan      # what it would cost at most; runs nothing
    python benchmarks/constitutional_study.py --page      # only the page

The four ways end in the same measurement: the quickstart constitution's seven principles, which rules
decide, on its held-out prompts, before and after. Beside it stands what could not be measured: a judge
distilled from the assistant constitution's examples and its card, and the OpenAI Model Spec imported,
linted, and asked a sample of its tests. Each arm is a run directory under ``--cache`` with its own
report; what it cost is in ``cost.json`` there. Finished arms are kept, one that was interrupted goes on,
and one that fails does not keep the others from running.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path

from constitutional_arms import ROOT, arm_of
from constitutional_cost import plan_lines
from constitutional_page import ARMS
from constitutional_results import write_results
from constitutional_run import COST, run_arm

from charter.errors import Interrupted
from charter.interrupt import graceful


def main() -> int:
    """Run what is missing, then write the page; 1 where an arm has no result."""
    args = _arguments()
    cache = Path(args.cache).absolute()
    names = [args.only] if args.only else list(ARMS)
    if args.plan:
        print("\n".join(plan_lines(names)))
        return 0
    if not args.page:
        if args.only and (cache / args.only / COST).exists():
            shutil.rmtree(cache / args.only)
        try:
            _run_missing([name for name in names if not (cache / name / COST).exists()], cache, args)
        except Interrupted as stopped:
            print(stopped, file=sys.stderr)
            return stopped.code
        except KeyboardInterrupt:
            print("stopped at once", file=sys.stderr)
            return 130
    return write_results(cache, ROOT)


def _run_missing(names: list[str], cache: Path, args: argparse.Namespace) -> None:
    with graceful() as stop:
        for name in names:
            stop.check("stopped before the next arm", fix="run the same command again to go on")
            folder = cache / name
            made = partial(arm_of, name, folder, args.model, args.judge)
            run_arm(name, made, folder, args.model, stop)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m", help="that is aligned and measured, in every arm")
    parser.add_argument(
        "--judge", action="append", default=[], help="sits beside the distilled judge; repeat it"
    )
    parser.add_argument("--only", choices=ARMS, help="this arm alone; again where it is done")
    parser.add_argument("--plan", action="store_true", help="only tell what it costs at most")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--cache", default=str(ROOT / "runs" / "constitutional_study"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
