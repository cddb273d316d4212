"""The constitutional study as a results file and a page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from charter.rundir import now, read_json, write_json, write_text
from charter.stats import p_words, percent, points

Row = dict[str, Any]
COMMAND = "python benchmarks/constitutional_study.py"
ALIGNED = {
    "prompted": "the constitution as system prompt",
    "urial": "URIAL: three examples and a preamble",
    "rules-dpo": "DPO on pairs made by the rules",
    "constitutional-ai": "Constitutional AI: self-critique, kept by the rules, then SFT and DPO",
}
"""Ways to align, measured on the same held-out prompts."""

UNMEASURED = {
    "assistant": "the shipped assistant constitution",
    "model-spec": "the OpenAI Model Spec, release 2025-12-18",
}
"""Constitutions most of which needs a judge."""

ARMS = (*ALIGNED, *UNMEASURED)


def write_page(cache: Path, root: Path) -> int:
    """Results and page of the arms that are there; 1 where one is missing."""
    found = {name: _arm(cache / name) for name in ARMS if (cache / name / "cost.json").exists()}
    missing = [name for name in ARMS if name not in found]
    if not found:
        print("no arm has finished")
        return 1
    rows = {name: found[name] for name in found}
    write_json(
        root / "benchmarks" / "results" / "constitutional_study.json",
        {"command": COMMAND, "date": now(), "missing": missing, "arms": rows},
    )
    text = page(rows, missing)
    write_text(root / "docs" / "results" / "constitutional.md", text)
    print(text)
    return 1 if missing else 0


def _arm(folder: Path) -> Row:
    """What an arm's report says, and what it cost."""
    report = read_json(folder / "report.json") or {}
    kept = ("adherence", "health", "flags", "limits", "stages", "judge")
    lint = folder / "lint.json"
    return {
        **{key: report.get(key) for key in kept},
        "cost": read_json(folder / "cost.json"),
        "lint": read_json(lint) if lint.exists() else None,
    }


def page(arms: dict[str, Row], missing: list[str]) -> str:
    """The page, but for what only a person can say about it."""
    aligned = {name: arms[name] for name in ALIGNED if name in arms}
    gone = f"\nNot measured yet: {', '.join(missing)}.\n" if missing else ""
    return f"""# One constitution, four ways

Made by `{COMMAND}`; numbers: `benchmarks/results/constitutional_study.json`.
{gone}
**What is compared.** The default model before and after, on the seven principles of
`recipes/quickstart.constitution.md` and 145 held-out prompts, greedy, at most 128 tokens. Rules decide
every principle, so nothing rests on a judge. One run each: single seeds, so expect other runs to differ
by more than the intervals, which speak of prompts alone.

{_overall(aligned)}
Share of held-out answers that pass every principle that applies to them, with 95% intervals; `p` by
exact McNemar against the same model without.

## Principle by principle

{_principles(aligned)}
Change in points; in bold where a rise or a fall is claimed after Holm's correction within its column.

## Is it still the same model?

{_health(aligned)}
## What it cost

{_costs(aligned)}
## What could not be measured

{_unmeasured(arms)}"""


def _overall(arms: dict[str, Row]) -> str:
    lines = ["| way | before | after | change, points | p |", "|---|---|---|---|---|"]
    for name, arm in arms.items():
        row = arm["adherence"]["overall"]
        change = row["change"]
        lines.append(
            f"| {ALIGNED[name]} | {_rate(row['before'])} | {_rate(row['after'])} | {_change(change)} "
            f"| {p_words(change['p'])} |"
        )
    return "\n".join(lines) + "\n"


def _principles(arms: dict[str, Row]) -> str:
    names = list(arms)
    lines = ["| principle | before | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    first = next(iter(arms.values()))["adherence"]["principles"]
    for place, row in enumerate(first):
        cells = [_cell(arm["adherence"]["principles"][place]) for arm in arms.values()]
        lines.append(f"| `{row['principle']}` | {_rate(row['before'])} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Row) -> str:
    if row["change"] is None:
        return "not measured"
    told = _change(row["change"])
    return f"**{told}**" if row["status"] in ("rose", "fell") else told


def _health(arms: dict[str, Row]) -> str:
    names = list(arms)
    lines = ["| measure | before | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    known = {name: {row["measure"]: row for row in arm["health"]} for name, arm in arms.items()}
    labels = {row["measure"]: row for rows in known.values() for row in rows.values()}
    for measure, label in labels.items():
        cells = [_number(known[name].get(measure), "after") for name in names]
        before = next(
            (_number(rows[measure], "before") for rows in known.values() if measure in rows), "not measured"
        )
        unit = f", {label['unit']}" if label["unit"] else ""
        lines.append(f"| {label['label']}{unit} | {before} | " + " | ".join(cells) + " |")
    flags = [f"- {name}: {flag}" for name, arm in arms.items() for flag in arm["flags"] or ()]
    return "\n".join(lines) + "\n" + ("\nFlags:\n\n" + "\n".join(flags) + "\n" if flags else "")


def _number(row: Row | None, side: str) -> str:
    return "not measured" if row is None or row[side] is None else f"{row[side]:.3g}"


def _costs(arms: dict[str, Row]) -> str:
    lines = ["| way | minutes in all | stages, seconds | command |", "|---|---|---|---|"]
    for name, arm in arms.items():
        stages = ", ".join(f"{s['name']} {s['seconds']:.0f}" for s in arm["stages"] or () if s["seconds"])
        commands = "; ".join(f"`{command}`" for command in arm["cost"]["commands"])
        minutes = arm["cost"]["seconds"] / 60
        lines.append(f"| {name} | {minutes:.0f} | {stages or 'evaluate alone'} | {commands} |")
    return "\n".join(lines) + "\n"


def _unmeasured(arms: dict[str, Row]) -> str:
    parts = []
    for name, title in UNMEASURED.items():
        if name not in arms:
            continue
        rows = arms[name]["adherence"]["principles"]
        measured = [row for row in rows if row["status"] != "not_measured"]
        reasons: dict[str, int] = {}
        for row in rows:
            if row["status"] == "not_measured":
                reasons[row["why"]] = reasons.get(row["why"], 0) + 1
        told = "\n".join(
            f"- {count}: {why}" for why, count in sorted(reasons.items(), key=lambda pair: -pair[1])
        )
        parts.append(
            f"**{title[:1].upper()}{title[1:]}**: {len(measured)} of {len(rows)} principles measured "
            f"(in {arms[name]['cost']['seconds'] / 60:.0f} minutes, judge and its card included). "
            f"The others:\n\n{told}\n{_lint(arms[name]['lint'])}"
        )
    return "\n".join(parts)


def _lint(found: Row | None) -> str:
    """How often the linter said what."""
    if found is None:
        return ""
    counts = Counter(finding["code"] for finding in found["findings"])
    return f"\nThe linter: {', '.join(f'{code} {count}' for code, count in counts.most_common())}.\n"


def _rate(rate: Row | None) -> str:
    if rate is None:
        return "not measured"
    return f"{percent(rate['rate'])} [{percent(rate['lo'])}, {percent(rate['hi'])}]"


def _change(change: Row) -> str:
    return f"{points(change['diff'])} [{points(change['lo'])}, {points(change['hi'])}]"
