"""The default model under one constitution: prompted, by URIAL, by DPO from rules, by Constitutional AI.

    python benchmarks/constitutional_study.py             # whatever is not there yet, then the page
    python benchmarks/constitutional_study.py --only urial  # one arm, measured again
    python benchmarks/constitutional_study.py --page      # only the page

Every arm ends in the same measurement: the quickstart constitution's seven principles, which rules
decide, on 145 held-out prompts, before and after. Beside it stands what could not be measured: a judge
distilled from the assistant constitution's examples and its card, and the OpenAI Model Spec imported,
linted, and asked its tests. Each arm is a run directory under ``--cache`` with its own
report; what it cost is in ``cost.json`` there. Finished arms are kept.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from constitutional_page import ARMS, write_page

from charter.rundir import machine, now, versions, write_json

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "recipes"
SPEC = ROOT / "tests" / "constitution" / "data"
HELD_OUT = RECIPES / "quickstart" / "heldout.jsonl"
CONSTITUTION = RECIPES / "quickstart.constitution.md"
GATE_CODES = (0, 1, 6)
"""Exit codes of a command that measured: gates pass, fail, or cannot be decided."""


def main() -> int:
    """Run what is missing, then write the page."""
    args = _arguments()
    cache = Path(args.cache)
    if args.only:
        shutil.rmtree(cache / args.only, ignore_errors=True)
    if not args.page:
        for name in [args.only] if args.only else ARMS:
            if not (cache / name / "cost.json").exists():
                _run(name, cache, args)
    return write_page(cache, ROOT)


def _run(name: str, cache: Path, args: argparse.Namespace) -> None:
    """One arm's commands, one after the other; what they print goes to a log."""
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    ran = []
    with (folder / "log.txt").open("ab") as log:
        for command in commands(name, folder, args):
            print(" ".join(command), flush=True)
            linting = command[:2] == ["constitution", "lint"]
            with (folder / "lint.json").open("wb") if linting else nullcontext(log) as out:
                code = subprocess.run(
                    [sys.executable, "-m", "charter.cli.main", *command], stdout=out, stderr=log, check=False
                ).returncode
            if code not in GATE_CODES:
                raise SystemExit(f"{name}: exit code {code}; see {log.name}")
            ran.append(["charter", *command])
    write_json(
        folder / "cost.json",
        {
            "seconds": round(time.monotonic() - began, 1),
            "commands": [_as_typed(command) for command in ran],
            "date": now(),
            "machine": machine(),
            "versions": versions(),
        },
    )


def commands(name: str, folder: Path, args: argparse.Namespace) -> list[list[str]]:
    """What an arm runs; its report ends in ``folder``."""
    if name in ("rules-dpo", "constitutional-ai"):
        recipe = "quickstart.yaml" if name == "rules-dpo" else "constitutional-ai.yaml"
        return [["run", str(RECIPES / recipe), "--output-dir", str(folder)]]
    if name in ("prompted", "urial"):
        around = ["--system-prompt", str(CONSTITUTION)] if name == "prompted" else ["--in-context", "urial"]
        return [_evaluated(args.model, folder, CONSTITUTION, [*around, "--prompts", str(HELD_OUT)])]
    law, made = ("assistant", []) if name == "assistant" else _model_spec(folder)
    judge, card = str(folder / "judge"), str(folder / "judge_card.json")
    return [
        *made,
        ["distil-judge", law, "--out", judge, "--model", args.model],
        ["judge-card", judge, "--constitution", law, "--output", card],
        _evaluated(args.model, folder, law, ["--judge", judge, "--card", card]),
    ]


def _model_spec(folder: Path) -> tuple[str, list[list[str]]]:
    """The Model Spec as a constitution, and the commands that make and lint it."""
    law = str(folder / "model-spec.constitution.md")
    source = ["constitution", "import", str(SPEC / "model_spec.md"), "--format", "model-spec"]
    tests = ["--tests", str(SPEC / "model_spec_examples"), "--licence", "CC0-1.0"]
    return law, [
        [*source, *tests, "--output", law, "--force"],
        ["constitution", "lint", law, "--json"],
    ]


def _evaluated(model: str, folder: Path, law: str | Path, more: Sequence[str]) -> list[str]:
    tokens = ["--max-completion-length", "128"]
    return ["evaluate", model, "--constitution", str(law), *more, *tokens, "--out", str(folder)]


def _as_typed(command: Sequence[str]) -> str:
    """The command from the repository's folder, as a person would type it."""
    return " ".join(command).replace(f"{ROOT}/", "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--only", choices=ARMS, help="measure this arm again")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--cache", default=str(ROOT / "runs" / "constitutional_study"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
