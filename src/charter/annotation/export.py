"""Labels out of a campaign, also while it runs: label rows, rows for trainers, a long table, all events."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select

from charter.annotation.database import Store
from charter.annotation.rows import Snapshot, snapshot
from charter.annotation.tables import LabelEvent, Rater
from charter.annotation.task import prompt_to_json
from charter.annotation.whose import Whose
from charter.label import Label
from charter.rundir import write_jsonl, write_text

To = Literal["labels", "preference", "ranking", "unpaired", "rating", "table", "events"]
Counts = Counter[str]
_COLUMNS = (
    "label", "item", "kind", "principle", "level", "source", "rater", "group", "outcome", "value",
    "first_shown", "position", "gold", "repeat_of", "policy", "seconds", "at", "rationale",
)  # fmt: skip


def export(store: Store, path: Path, to: To, *, scale: int, pass_at: int) -> Counts:
    """Write ``path`` atomically from one moment of the campaign.

    Rows for trainers weigh their rater's reliability, as far as the campaign's own labels tell it.

    Args:
        store: the campaign, which may be in use.
        path: of the new file.
        to: what is wanted.
        scale: the highest rating.
        pass_at: the lowest rating that passes.

    Returns:
        What was written, and what was left out and why.

    Raises:
        StoreFault: the campaign cannot be read.
        EnvironmentFault: the file cannot be written.
    """
    counts: Counts = Counter()
    with store.read() as session:
        if to == "events":
            rows = list(_events(session.scalars(select(LabelEvent).order_by(LabelEvent.id)), session))
        else:
            now = snapshot(session)
    if to == "table":
        counts["rows"] = len(now.labels)
        write_text(path, _table(now))
        return counts
    if to == "labels":
        rows = [label.to_json() for label in [*now.labels, *now.decided]]
        unclear = sum(bool(label.meta.get("unclear")) for label in now.labels)
        counts["labels of items whose text was found unclear, marked meta.unclear"] = unclear
        counts["decisions, marked meta.adjudication: rows to train on follow them"] = len(now.decided)
    elif to != "events":
        whose = Whose.of(now.labels, store.campaign()[1].min_cell)
        rows = list(_trainer_rows(now, to, scale, pass_at, whose, counts))
        whose.scale(rows, counts)
    counts["rows"] = len(rows)
    write_jsonl(path, rows)
    return counts


def _trainer_rows(
    now: Snapshot, to: To, scale: int, pass_at: int, whose: Whose, counts: Counts
) -> Iterator[dict[str, Any]]:
    """One row a label: nobody is averaged away. A decided item counts as decided."""
    decided = {label.item for label in now.decided}
    for label in [*now.labels, *now.decided]:
        adjudicated = bool(label.meta.get("adjudication"))
        if label.outcome == "skipped":
            counts["left out: skipped"] += 1
        elif label.gold is not None:
            counts["left out: tests of raters"] += 1
        elif label.meta.get("repeat"):
            counts["left out: repeats"] += 1
        elif label.item in now.unclear:
            counts["left out: items whose text was found unclear"] += 1
        elif label.item in decided and not adjudicated:
            counts["left out: labels of items that somebody decided"] += 1
        elif label.outcome == "not_applicable":
            counts["left out: not applicable, or nothing to change or mark"] += 1
        else:
            rows = _ROWS[to](label, scale, pass_at)
            counts[f"left out: {label.kind} ({label.outcome}), which makes no {to} row"] += not rows
            yield from ({**row, **_origin(label), **whose.columns(label)} for row in rows)
    for name in [name for name, count in counts.items() if not count]:
        del counts[name]


def _origin(label: Label) -> dict[str, Any]:
    found = {
        "principle": label.principle,
        "principle_sha": label.principle_sha,
        "rater": label.rater,
        "item": label.item,
        "label_id": label.id,
        "rationale": label.rationale,
        "adjudicated": bool(label.meta.get("adjudication")),
    }
    return {name: value for name, value in found.items() if value}


def _preference(label: Label, _scale: int, _pass_at: int) -> list[dict[str, Any]]:
    prompt = prompt_to_json(label.prompt)
    if label.kind == "revision":
        return [_both(prompt, label.value, label.answers[0]) | {"margin": 1.0}]
    if label.kind == "pair" and label.outcome == "judged":
        better, worse = (0, 1) if label.value > 0 else (1, 0)
        row = _both(prompt, label.answers[better], label.answers[worse])
        return [row | {"margin": float(abs(label.value))}]
    return []


def _both(prompt: Any, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": _answer(prompt, chosen), "rejected": _answer(prompt, rejected)}


def _ranking(label: Label, _scale: int, _pass_at: int) -> list[dict[str, Any]]:
    if label.kind != "ranking" or label.outcome != "judged":
        return []
    prompt = prompt_to_json(label.prompt)
    answers = [_answer(prompt, text) for text in label.answers]
    return [{"prompt": prompt, "responses": answers, "ranks": list(label.value)}]


def _unpaired(label: Label, _scale: int, pass_at: int) -> list[dict[str, Any]]:
    prompt = prompt_to_json(label.prompt)
    if label.kind == "rating":
        return [
            {
                "prompt": prompt,
                "completion": _answer(prompt, label.answers[0]),
                "label": label.value >= pass_at,
            }
        ]
    if label.outcome == "both_bad":
        return [
            {"prompt": prompt, "completion": _answer(prompt, text), "label": False} for text in label.answers
        ]
    return []


def _rating(label: Label, scale: int, _pass_at: int) -> list[dict[str, Any]]:
    """Ratings on 0 to 1 as judges give them, under the principle's name."""
    if label.kind != "rating":
        return []
    prompt = prompt_to_json(label.prompt)
    score = (label.value - 1) / (scale - 1)
    return [
        {
            "prompt": prompt,
            "completion": _answer(prompt, label.answers[0]),
            "scores": {label.principle or "overall": score},
        }
    ]


_ROWS = {"preference": _preference, "ranking": _ranking, "unpaired": _unpaired, "rating": _rating}


def _answer(prompt: Any, text: str) -> Any:
    """An answer in the form of its prompt: text, or a turn."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]


def _events(events: Any, session: Any) -> Iterator[dict[str, Any]]:
    names = {rater.id: rater.pseudonym for rater in session.scalars(select(Rater))}
    for event in events:
        yield {
            "id": event.id,
            "event": event.event,
            "rater": names[event.rater_id],
            "item": event.item_id,
            "presentation": event.presentation_id,
            "undoes": event.undoes,
            "outcome": event.outcome,
            "value": event.value,
            "rationale": event.rationale,
            "seconds": event.seconds,
            "at": event.at,
            "meta": event.meta,
        }


def _table(now: Snapshot) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for label in now.labels:
        writer.writerow([_cell(value) for value in _row(label)])
    return out.getvalue()


def _row(label: Label) -> Sequence[Any]:
    first = label.shown[0] if label.shown else None
    judged = label.kind == "pair" and label.outcome == "judged" and first is not None
    won_first = "first" if judged and (label.value > 0) == (first == 0) else "second"
    return (
        label.id, label.item, label.kind, label.principle, label.meta.get("level"), label.meta.get("source"),
        label.rater, label.group, label.outcome, label.value, first, won_first if judged else None,
        label.gold, label.repeat_of, label.meta.get("policy"), label.seconds, label.at, label.rationale,
    )  # fmt: skip


def _cell(value: Any) -> Any:
    """Nothing that a spreadsheet would take for a formula."""
    if isinstance(value, str) and value[:1] in "=+-@\t\r" and value:
        return "'" + value
    return value
