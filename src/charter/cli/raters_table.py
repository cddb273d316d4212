"""What ``charter raters`` prints: tables, then what stands out, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charter.stats.words import percent, points


def print_people(found: Mapping[str, Any]) -> None:
    """``people.json`` for people."""
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, 220))
    for line in _head(found):
        console.print(line, markup=False, highlight=False)
    for table in (_raters(found), _alpha(found)):
        console.print()
        console.print(table)
    for line in _rest(found):
        console.print(line, markup=False, highlight=False)


def _raters(found: Mapping[str, Any]) -> Any:
    from rich.table import Table

    names = ("gold", "qualified", "repeats", "first", "longer - others", "suggestion pull", "agrees", "right")
    asked = found.get("mace") or {}
    second = ("knows (MACE)",) if asked else ()
    table = Table("rater", "labels", *names, *second, "seconds", "reliability", box=None)
    for row in found["raters"]:
        errors = next(iter(row["dawid_skene"].values()), None)
        trust, seconds = row["reliability"], row["seconds"]["p50"]
        table.add_row(
            row["rater"],
            str(row["labels"]),
            _rate(row["gold"]),
            row["qualified"] if row["gold"]["n"] else "not tested",
            _rate(row["repeats"]),
            _rate(row["first"]),
            _gap(row["longer_than_others"]),
            _gap(row["pull"]),
            _rate(row["agreement"]),
            "" if errors is None else _rate(errors["accuracy"]),
            *((_knows(asked, row["rater"]),) if asked else ()),
            "" if seconds is None else f"{seconds:.3g}",
            "unknown" if trust is None else f"{trust:.2f}",
        )
    return table


def _knows(asked: Mapping[str, Any], rater: str) -> str:
    said = {kind: one["competence"].get(rater) for kind, one in asked.items()}
    known = {kind: value for kind, value in said.items() if value is not None}
    return ", ".join(
        f"{value:.2f}" if len(asked) == 1 else f"{kind} {value:.2f}" for kind, value in known.items()
    )


def _alpha(found: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table(
        "principle", "labels", "alpha", "95% interval", "items", "with one rater", "raters", box=None
    )
    for row in found["alpha"]:
        known = row["alpha"] is not None
        table.add_row(
            row["principle"] or "overall",
            row["kind"],
            f"{row['alpha']:.2f}" if known else "not measured",
            f"{row['lo']:.2f} to {row['hi']:.2f}" if known else "",
            str(row["items"]),
            str(row["left_out"]),
            str(row["raters"]),
        )
    return table


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    totals = found["totals"]
    yield (
        f"{totals['counted']} labels of {totals['questions']} questions by {totals['raters']} raters, "
        f"{totals['shared_questions']} questions by several; {totals['repeats']} repeats"
    )
    yield from (f"left out, {why}: {count}" for why, count in totals["left_out"].items())
    if totals["decisions"]:
        yield f"{totals['decisions']} decisions: no voice in what follows, and rows to train on follow them"
    if totals["text_unclear"]:
        yield f"{totals['text_unclear']} labels of items whose text was found unclear: no rows to train on"
    if totals["without_scale"]:
        yield f"{totals['without_scale']} ratings without a scale: no verdicts, exact in tests (say --scale)"
    sources = found["balance"]["sources"]
    said = (f"{name} {percent(one['share'])}" for name, one in sources.items() if one["labels"])
    yield f"sources: {', '.join(said)}"
    for one in found["balance"]["agreement"]:
        if one["agreement"]["n"]:
            yield f"{one['first']} and {one['second']} agree on {_rate(one['agreement'])} shared questions"
    coverage = found["coverage"]
    if coverage["without_labels"]:
        yield f"principles without labels: {', '.join(coverage['without_labels'])}"
    if coverage["unknown_principles"]:
        yield f"labels of principles the constitution has not: {', '.join(coverage['unknown_principles'])}"


def _rest(found: Mapping[str, Any]) -> Iterator[str]:
    for kind, fit in found["dawid_skene"].items():
        if fit["why"]:
            yield f"errors of raters in {kind} labels: not measured, {fit['why']}"
        elif fit["left_out"]:
            yield f"errors of raters in {kind} labels: {fit['left_out']} without a scale left out"
    yield from _second(found.get("mace") or {})
    flags = [(row["rater"], words) for row in found["raters"] for words in row["flags"]]
    yield ""
    yield "to look at (nobody is blocked):" if flags else "nothing stands out about any rater"
    yield from (f"  {rater}: {words}" for rater, words in flags)
    yield from _groups(found["groups"])
    if found["ranking"] is not None:
        scores, ends = found["ranking"]["scores"], found["ranking"]["intervals"]
        strengths = (
            f"{n} {scores[n]:+.2f} [{ends[n][0]:+.2f}, {ends[n][1]:+.2f}]" for n in found["ranking"]["order"]
        )
        yield f"strength of models, given the raters' reliability: {', '.join(strengths)}"
    yield from _curve(found["curve"])
    for one in found["confidence"] if len(found["confidence"]) > 1 else ():
        yield f"margin {one['margin']:g}: right on {_rate(one)} gold items"
    if "reward_curve" in found:
        yield from _reward_curve(found["reward_curve"])
    if "exercise" in found:
        yield from _exercise(found["exercise"])
    if "plan" in found:
        yield from _plan(found["plan"])
    if "next" in found:
        yield from _next(found["next"])
    if "rows" in found:
        yield from _rows(found["rows"])


def _second(found: Mapping[str, Any]) -> Iterator[str]:
    for kind, one in found.items():
        if one["why"]:
            yield f"MACE of {kind} labels: not measured, {one['why']}"
        elif one["same_answer"] is not None:
            same = percent(one["same_answer"])
            yield f"MACE and Dawid-Skene name the same answer for {same} of {one['items']} {kind} items"


def _groups(found: Mapping[str, Any]) -> Iterator[str]:
    hidden = sorted({gap["group"] for gaps in found["gaps"].values() for gap in gaps if gap["value"] is None})
    for name, gaps in found["gaps"].items():
        for gap in gaps:
            if gap["value"] is not None and (gap["lo"] > 0 or gap["hi"] < 0):
                ends = f"[{points(gap['lo'])}, {points(gap['hi'])}]"
                gained = points(gap["difference"])
                yield f"group {gap['group']}: {name} {gained} points against the others {ends}"
    if hidden:
        few = f"under {found['least_raters']} raters in or outside them"
        yield f"groups not shown, {few}: {', '.join(hidden)}"
    for kind, split in found["split"].items():
        if split["p"] is not None:
            yield (
                f"{kind} labels: raters agree on {percent(split['within'])} within groups and "
                f"{percent(split['between'])} between them (p {split['p']:.3f})"
            )


def _curve(found: Mapping[str, Any]) -> Iterator[str]:
    if found["points"]:
        said = (f"{one['labels']}: {percent(one['value'])}" for one in found["points"])
        yield f"majority of k labels right on gold: {', '.join(said)} ({found['points'][0]['n']} items)"
        ahead = found["ahead"]
        if ahead["value"] is None:
            yield f"with {ahead['labels']} labels: not said, {ahead['why']}"
        else:
            yield (
                f"with {ahead['labels']} labels, if the curve goes on: {percent(ahead['value'])} "
                f"[{percent(ahead['lo'])}, {percent(ahead['hi'])}]"
            )


def _reward_curve(found: Mapping[str, Any]) -> Iterator[str]:
    for name in ("random", "active"):
        said = (f"{one['labels']}: {_rate(one)}" for one in found[name]["points"])
        yield f"reward head by labelled pairs, chosen {'at random' if name == 'random' else 'actively'}:"
        yield from (f"  {one}" for one in said)
    last = found["active_less_random"][-2 if len(found["active_less_random"]) > 1 else -1]
    yield f"active less random at {last['labels']} labels: {_gap(last)} points"
    if found["ahead"]["value"] is None:
        yield f"with {found['ahead']['labels']} labels: not said, {found['ahead']['why']}"
    else:
        yield f"with {found['ahead']['labels']} labels, if it goes on: {percent(found['ahead']['value'])}"
    if found["against_gold"] < found["pairs"]:
        plain = found["pairs"] - found["against_gold"]
        yield f"{plain} of {found['pairs']} pairs are measured against labels, which err too"


def _exercise(found: Mapping[str, Any]) -> Iterator[str]:
    for one in found["agreement"]:
        if one["change"] is None:
            yield f"{one['kind']} agreement before and after: not measured"
            continue
        word = {True: "it helped", False: "it made things worse", None: "no clear change"}[one["helped"]]
        yield (
            f"{one['kind']} alpha {one['before']['alpha']:.2f} before, {one['after']['alpha']:.2f} after: "
            f"{one['change']:+.2f} [{one['lo']:+.2f}, {one['hi']:+.2f}], {word} ({found['raters']} raters)"
        )
    if found["gold"] is not None:
        gold = found["gold"]
        yield (
            f"gold accuracy {percent(gold['before'])} before, {percent(gold['after'])} after: "
            f"{points(gold['change'])} points [{points(gold['lo'])}, {points(gold['hi'])}]"
        )


def _plan(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"to know a rate to {points(found['half_width']).lstrip('+')} points ({found['of']}):"
    for one in found["plans"]:
        yield (
            f"  {one['raters']} raters, {one['per_item']} an item: {one['items']} items, "
            f"{one['labels']} labels, {one['per_rater']} each"
        )
    if not found["plans"]:
        yield "  not with 50 raters or fewer: they differ too much among themselves"


def _next(found: Mapping[str, Any]) -> Iterator[str]:
    before = "nothing" if found["coverage_before"] is None else f"{found['coverage_before']:.3f}"
    yield f"label next: {', '.join(found['items'])}"
    yield (
        f"coverage {before} now, {found['coverage']:.3f} then, {found['coverage_at_random']:.3f} with "
        "as many at random"
    )


def _rows(found: Mapping[str, Any]) -> Iterator[str]:
    for kind, one in found["files"].items():
        yield f"{one['rows']} {kind} rows: {one['file']}"
    if not found["files"]:
        yield "no rows: no label says anything to train on"
    yield from (f"no row from {count} votes: {why}" for why, count in found["dropped"].items())
    if found["decisions"]:
        yield f"decisions in place of what others said: {found['decisions']}"
    if found["marks"]:
        yield f"marks beside the rows of their answers: {found['marks']}"
    if found["without_scale"]:
        yield f"ratings without a scale, taken as scores and not as verdicts: {found['without_scale']}"
    if found["unknown_reliability"]:
        yield f"reliability not known, the mean taken: {', '.join(found['unknown_reliability'])}"


def _rate(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return ""
    few = "" if one["enough"] else " (few)"
    return f"{percent(one['value'])} [{percent(one['lo'])}, {percent(one['hi'])}] of {one['n']}{few}"


def _gap(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return ""
    few = "" if one["enough"] else " (few)"
    return f"{points(one['value'])} [{points(one['lo'])}, {points(one['hi'])}]{few}"
