"""The constitutional study as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from constitutional_arms import MAX_TOKENS
from constitutional_judged import unmeasured

from charter.pipeline.attempts import told
from charter.stats import p_words, percent, points

Row = dict[str, Any]
Arms = Mapping[str, Row]
COMMAND = "python benchmarks/constitutional_study.py"
ALIGNED = {
    "prompted": "the constitution as system prompt",
    "urial": "URIAL: three examples and a preamble",
    "rules-dpo": "DPO on pairs made by the rules",
    "constitutional-ai": "Constitutional AI, the rules as critic, then SFT on the revisions",
    "self-critique": "the same with the model as its own critic; the rules only choose what is kept",
}
"""Ways to align, measured on the same held-out prompts."""

JUDGED = {
    "assistant": "the shipped assistant constitution",
    "model-spec": "the OpenAI Model Spec, release 2025-12-18",
}
"""Constitutions most of which needs a judge."""

ARMS = (*ALIGNED, *JUDGED)


def page(arms: Arms, missing: Mapping[str, str], said: str = "") -> str:
    """The page.

    Args:
        arms: results by name.
        missing: why the others have none.
        said: what a person has to say about it; "" = nothing yet.
    """
    aligned = {name: arms[name] for name in ALIGNED if name in arms}
    measured = {name: arm for name, arm in aligned.items() if arm["adherence"]}
    parts = [
        f"""# One constitution, five ways

Made by `{COMMAND}`; numbers: `benchmarks/results/constitutional_study.json`.
{_missing(missing)}""",
        _compared(measured, arms),
        f"## What it shows\n\n{said}\n" if said else "",
        _measured(measured) if measured else "",
        _without(aligned),
        _costs(arms),
        unmeasured({name: (JUDGED[name], arms[name]) for name in JUDGED if name in arms}),
    ]
    return "\n".join(part for part in parts if part)


def _missing(missing: Mapping[str, str]) -> str:
    if not missing:
        return ""
    return "\nWithout a result:\n\n" + "\n".join(f"- {name}: {why}" for name, why in missing.items()) + "\n"


def _compared(measured: Arms, arms: Arms) -> str:
    models = sorted({arm["cost"]["model"] for arm in arms.values()})
    if not measured:
        return f"**What is compared.** {', '.join(models)}; no way to align has been measured yet.\n"
    cards = [arm["adherence"] for arm in measured.values()]
    prompts = sorted({card["coverage"]["prompts"] for card in cards})
    principles = sorted({len(card["principles"]) for card in cards})
    return f"""**What is compared.** {" and ".join(models)} before and after, on the {_numbers(principles)}
principles of `recipes/quickstart.constitution.md` and {_numbers(prompts)} held-out prompts, greedy, at most
{MAX_TOKENS} tokens. Rules decide every principle, so nothing rests on a judge. One run each: single seeds, so
expect other runs to differ by more than the intervals, which speak of prompts alone.
"""


def _numbers(found: Iterable[int]) -> str:
    return " or ".join(map(str, found))


# -- the ways side by side ----------------------------------------------------


def _measured(arms: Arms) -> str:
    return f"""{_overall(arms)}
Share of held-out answers that pass every principle that applies to them, with 95% intervals; `p` by
exact McNemar against the same model without.{_bases_differ(arms)}

## Principle by principle

{_principles(arms)}
Change in points. In bold where a change is claimed: a rise after Holm's correction within its column, a fall
without any correction, because harm is not to be corrected away.

## Is it still the same model?

{_health(arms)}"""


def _overall(arms: Arms) -> str:
    lines = ["| way | before | after | change, points | p |", "|---|---|---|---|---|"]
    for name, arm in arms.items():
        row = arm["adherence"]["overall"]
        change = row["change"]
        cells = ("not measured", "") if change is None else (_change(change), p_words(change["p"]))
        lines.append(
            f"| {ALIGNED[name]} | {_rate(row['before'])} | {_rate(row['after'])} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def _bases_differ(arms: Arms) -> str:
    """The model before is one and the same, asked anew for each arm; rounding may tell its answers apart."""
    before = [arm["adherence"]["overall"]["before"] for arm in arms.values()]
    rates = [row["rate"] for row in before if row]
    if not rates or max(rates) == min(rates):
        return ""
    apart = 100 * (max(rates) - min(rates))
    return f" The model before was asked anew for each way, and its rates differ by up to {apart:.1f} points."


def _principles(arms: Arms) -> str:
    names = list(arms)
    lines = ["| principle | before | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    rows = {
        name: {one["principle"]: one for one in arm["adherence"]["principles"]} for name, arm in arms.items()
    }
    for id, row in rows[names[0]].items():
        cells = [_cell(found.get(id)) for found in rows.values()]
        lines.append(f"| `{id}` | {_rate(row['before'])} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Row | None) -> str:
    if row is None or row["change"] is None:
        return "not measured"
    said = _change(row["change"])
    return f"**{said}**" if row["status"] in ("rose", "fell") else said


def _health(arms: Arms) -> str:
    names = list(arms)
    lines = ["| measure | before | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    known = {name: {row["measure"]: row for row in arm["health"] or ()} for name, arm in arms.items()}
    labels = {row["measure"]: row for rows in known.values() for row in rows.values()}
    for measure, label in labels.items():
        cells = [_number(known[name].get(measure), "after") for name in names]
        having = (rows[measure] for rows in known.values() if measure in rows)
        before = next((_number(row, "before") for row in having if row["before"] is not None), "not measured")
        said = label["unit"].casefold() in label["label"].casefold()  # an empty one as well
        unit = "" if said else f", {label['unit']}"
        lines.append(f"| {label['label']}{unit} | {before} | " + " | ".join(cells) + " |")
    flags = [f"- {name}: {flag}" for name, arm in arms.items() for flag in arm["flags"] or ()]
    return "\n".join(lines) + "\n" + ("\nFlags:\n\n" + "\n".join(flags) + "\n" if flags else "")


# -- an arm without a measurement, and costs ----------------------------------


def _without(arms: Arms) -> str:
    """Ways whose result is that they could not be gone, and what became of self-made revisions."""
    ended = {name: arm["cost"]["outcome"] for name, arm in arms.items() if arm["cost"]["outcome"]}
    lines = [
        f"**{ALIGNED[name]}**: not trained, because {one['why']} ({one['line']})."
        for name, one in ended.items()
    ]
    lines += [
        f"**Revisions that {name} trained on**: {arm['revisions']['line']}."
        for name, arm in arms.items()
        if arm["revisions"] and name not in ended
    ]
    return "\n\n".join(lines) + "\n" if lines else ""


def _costs(arms: Arms) -> str:
    lines = [
        "## What it cost",
        "",
        "| arm | minutes in all | stages, seconds | commands |",
        "|---|---|---|---|",
    ]
    for name, arm in arms.items():
        cost = arm["cost"]
        timed = [one for one in arm["stages"] or () if one["seconds"] is not None]
        stages = ", ".join(f"{one['name']} {one['seconds']:.0f}" for one in timed) or "none apart"
        commands = "; ".join(f"`{command}`" for command in cost["commands"])
        several = told(cost)
        minutes = f"{cost['seconds'] / 60:.0f}" + (f" ({several})" if several else "")
        lines.append(f"| {name} | {minutes} | {stages} | {commands} |")
    where = Counter(
        f"{machine['cpu']}, {machine['cores']} cores"
        for machine in (arm["cost"]["machine"] for arm in arms.values())
    )
    return "\n".join(lines) + f"\n\nMeasured on: {'; '.join(where)}.\n"


# -- cells --------------------------------------------------------------------


def _number(row: Row | None, side: str) -> str:
    return "not measured" if row is None or row[side] is None else f"{row[side]:.3g}"


def _rate(rate: Row | None) -> str:
    if rate is None:
        return "not measured"
    return f"{percent(rate['rate'])} [{percent(rate['lo'])}, {percent(rate['hi'])}]"


def _change(change: Row) -> str:
    return f"{points(change['diff'])} [{points(change['lo'])}, {points(change['hi'])}]"
