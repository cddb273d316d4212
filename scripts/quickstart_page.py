"""Write docs/results/quickstart.md from a finished quickstart run.

python scripts/quickstart_page.py runs/quickstart
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def main(run: Path) -> None:
    """Write the page."""
    report = json.loads((run / "report.json").read_text("utf-8"))
    page = ROOT / "docs" / "results" / "quickstart.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines(report)) + "\n", "utf-8")
    print(page)


def lines(report: dict[str, Any]) -> list[str]:
    """The page, line by line."""
    adherence = report["adherence"]
    out = [
        "# Quickstart results",
        "",
        f"Made by `make quickstart` on {report['created'][:10]}, then "
        "`python scripts/quickstart_page.py runs/quickstart`.",
        f"Machine: {report['machine']['cpu']}, {report['machine']['cores']} cores, no GPU. Model: "
        f"{report['models']['base']['name']}. Constitution: {report['constitution']['name']} "
        f"{report['constitution']['version']} (`{report['constitution']['sha'][:12]}`).",
        "",
        f"## Adherence on {adherence['coverage']['prompts']} held-out prompts",
        "",
        "| principle | prompts | before | after | change | p | p (Holm) | status |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(row["principle"], row) for row in adherence["principles"]),
        _row("**all together**", adherence["overall"]),
        "",
        "Rates with 95% Wilson intervals; exact McNemar test on the same prompts; greedy answers.",
        "*kept*: not claimed, because the base is near its ceiling, fewer than 40 prompts apply, or the",
        "change is not significant.",
        "",
        "## Beside adherence",
        "",
        "| measure | before | after | limit |",
        "|---|---|---|---|",
        *(
            f"| {r['label']} ({r['unit'] or 'none'}) | {_number(r['before'])} | {_number(r['after'])} "
            f"| {_number(r['limit'])} |"
            for r in report["health"]
        ),
        "",
        "Flags: " + ("; ".join(report["flags"]) if report["flags"] else "none") + ".",
        "",
        f"Training: {report['training']['algorithm']}, {report['training']['steps']} steps, stopped by: "
        f"{report['training']['stopped_by']}. Pairs: {report['data']['pairs']['total']}, by principle: "
        + ", ".join(f"{k} {v}" for k, v in report["data"]["pairs"]["per_principle"].items())
        + ".",
        "",
        "## Time",
        "",
        "| stage | seconds | what |",
        "|---|---|---|",
        *(f"| {s['name']} | {s['seconds']:.0f} | {_short(s['summary'])} |" for s in report["stages"]),
        f"| **total** | **{sum(s['seconds'] for s in report['stages']):.0f}** | |",
        "",
        "## Answers",
        "",
        "The largest gain, one in the middle, and the largest loss.",
    ]
    for example in report["examples"]:
        out += ["", f"**{example['prompt']}**", "", "before:", "", _quote(example["before"])]
        out += ["", "after:", "", _quote(example["after"])]
    return out


def _row(name: str, row: dict[str, Any]) -> str:
    before, after, change = row["before"], row["after"], row["change"]
    if after is None:
        return f"| {name} | {row['n_prompts']} | | | | | | not measured |"
    return (
        f"| {name} | {row['n_prompts']} | {_rate(before)} | {_rate(after)} | {change['diff']:+.0%} "
        f"[{change['lo']:+.0%}, {change['hi']:+.0%}] | {change['p']:.2g} | {_number(change.get('p_holm'))} "
        f"| {row['status']} |"
    )


def _rate(rate: dict[str, Any]) -> str:
    return f"{rate['rate']:.0%} [{rate['lo']:.0%}, {rate['hi']:.0%}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _short(text: str) -> str:
    return text if "/" not in text else Path(text).name


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.strip().splitlines())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
