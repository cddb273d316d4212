"""What a judge distilled from the shipped constitutions' own examples is worth on examples it never saw.

    python benchmarks/distilled_judge.py        # a few minutes of one core

Writes ``results/distilled_judge.json``: of each constitution and principle the pairs that are put in order by
a head that was trained on neither their prompt nor their answers, beside "always the longest" on the same
pairs; and the judge's card. Nothing is trained but the heads: the default model is frozen.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import charter
from charter.constitution import Constitution
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.subjects import open_subject
from charter.feedback.judging.distilled.distil import Distilled, distil, gather
from charter.feedback.judging.distilled.features import Reading
from charter.rundir import machine, now, versions, write_json

Row = dict[str, Any]
OUT = Path(__file__).resolve().parent / "results" / "distilled_judge.json"
CONSTITUTIONS = ("small", "assistant")


def shipped(name: str) -> Constitution:
    """A constitution that comes with the package."""
    path = files("charter.constitutions") / f"{name}.constitution.md"
    return Constitution.load(Path(str(path)))


def measured(name: str, policy: Any, folder: Path, reading: Reading) -> Row:
    """One constitution: the judge, what it is worth held out, and its card."""
    law = shipped(name)
    found = distil(law, gather(law), policy, folder / name, model=policy.name, reading=reading)
    subject = open_subject(str(folder / name), form="per_principle")
    every = [one.id for one in law.active if one.type != "definition"]
    card = examine(subject, law, only=every)
    return {
        "name": name,
        "sha": law.sha,
        "answers": found.manifest["answers"],
        "prompts": found.manifest["prompts"],
        "heads": [asdict(one.head.penalty) for one in found.fitted.heads],
        "temperature": found.manifest["temperature"],
        "calibration": found.manifest["calibration"],
        "overall": row("all", found, None),
        "principles": [row(id, found, id) for id in found.principles],
        "card": {
            "usable": sorted(card.usable),
            "uses": {one.principle: one.use for one in card.principles},
            "judge_wide": {one.name: [one.result, one.why] for one in card.wide},
        },
    }


def row(name: str, found: Distilled, id: str | None) -> Row:
    """Held-out results as one row."""
    one = found.overall if id is None else found.principles[id]
    shares = {
        "pairs": one.pairs,
        "longest": one.longest,
        "against_length": one.against,
        "verdicts": one.labels,
        "good": one.good,
        "bad": one.bad,
    }
    told: Row = {"principle": name, "standing": one.standing, "transferred": one.transferred}
    for key, share in shares.items():
        told[key] = None if share.rate is None else round(share.rate, 4)
        told[f"{key}_n"] = share.n
        told[f"{key}_interval"] = None if share.interval is None else [round(x, 4) for x in share.interval]
    return told


def main() -> None:
    """Distil, examine, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--depth", type=float, default=Reading.depth)
    parser.add_argument("--pooling", default=Reading.pooling)
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args()
    start = time.process_time()
    policy = charter.load(args.model)
    with tempfile.TemporaryDirectory() as scratch:
        of = partial(measured, policy=policy, folder=Path(scratch), reading=Reading(args.depth, args.pooling))
        found = [of(name) for name in CONSTITUTIONS]
    write_json(
        args.output,
        {
            "command": shlex.join(["python", *sys.argv]),
            "date": now(),
            "machine": machine(),
            "versions": versions(),
            "cpu_seconds": round(time.process_time() - start),
            "model": {"name": args.model, "digest": policy.digest()},
            "reading": {"depth": args.depth, "pooling": args.pooling},
            "constitutions": found,
        },
    )
    for one in found:
        for line in (*one["principles"], one["overall"]):
            told = [line[key] for key in ("pairs", "pairs_interval", "pairs_n", "longest", "against_length")]
            print(one["name"], line["principle"], *told, line["standing"])
        print(one["name"], one["card"]["usable"], one["card"]["judge_wide"])


if __name__ == "__main__":
    main()
