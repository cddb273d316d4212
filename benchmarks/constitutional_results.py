"""What the arms of the constitutional study found, as a results file and the page."""

from __future__ import annotations

import json
from pathlib import Path

from constitutional_arms import ROOT, Row, revisions
from constitutional_page import ARMS, COMMAND, page
from constitutional_run import COST, failure_of

from charter.rundir import now, read_json, write_json, write_text

FINDINGS = Path(__file__).resolve().parent / "data" / "constitutional_findings.md"
"""What a person read from the numbers; it stands apart, so that a page made again keeps it."""

_KEPT = ("adherence", "health", "flags", "limits", "stages", "judge")


def write_results(cache: Path, root: Path, findings: Path = FINDINGS) -> int:
    """Results and page of the arms that are there; 1 where one is missing."""
    found: dict[str, Row] = {}
    missing: dict[str, str] = {}
    for name in ARMS:
        arm = read_arm(cache / name)
        if isinstance(arm, str):
            missing[name] = arm
        else:
            found[name] = arm
    if not found:
        print("no arm has a result:", *(f"{name}: {why}" for name, why in missing.items()), sep="\n")
        return 1
    results = root / "benchmarks" / "results"
    results.mkdir(parents=True, exist_ok=True)
    write_json(
        results / "constitutional_study.json",
        {"command": COMMAND, "date": now(), "missing": missing, "arms": found},
    )
    said = findings.read_text(encoding="utf-8").strip() if findings.exists() else ""
    text = page(found, missing, said)
    pages = root / "docs" / "results"
    pages.mkdir(parents=True, exist_ok=True)
    write_text(pages / "constitutional.md", text)
    print(text)
    return 1 if missing else 0


def read_arm(folder: Path) -> Row | str:
    """What an arm found and what it cost, or why there is nothing."""
    cost = read_json(folder / COST)
    if cost is None:
        return failure_of(folder)
    report = read_json(folder / "report.json") or {}
    if cost.get("outcome") is None and not report.get("adherence"):
        return "its report holds no adherence"
    return _from_here(
        {
            **{key: report.get(key) for key in _KEPT},
            "cost": cost,
            "lint": read_json(folder / "lint.json"),
            "import": read_json(folder / "import.json"),
            "revisions": revisions(folder),
        }
    )


def _from_here(arm: Row) -> Row:
    """The same with paths as they are in the repository, wherever that lies on this machine."""
    found: Row = json.loads(json.dumps(arm).replace(f"{ROOT}/", ""))
    return found
