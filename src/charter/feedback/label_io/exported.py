"""Labels in the formats of others: annotated pairs, Inspect's precomputed scores, a long CSV."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.constitution.exchange.annotated_pairs import FORMAT_NAME, prompt_text
from charter.errors import DataError
from charter.feedback.label_io.table import COLUMNS, JSON_COLUMNS
from charter.label import Label, is_decision, latest

EXPORTS = (FORMAT_NAME, "inspect-scores", "csv")
"""What ``labels export --to`` may be."""

_TYPES = {"human": "human", "expert": "human", "ai": "ai", "implicit": "unknown"}


@dataclass(frozen=True, slots=True)
class ExportedLabels:
    """Text to write, and what the format cannot hold, by reason."""

    text: str
    left_out: dict[str, int]


def export_labels(labels: Sequence[Label], to: str, *, title: str = "labels") -> ExportedLabels:
    """``labels`` in the format ``to``, one of :data:`EXPORTS`.

    Raises:
        DataError: no such format, or nothing that it can hold.
    """
    if to == "csv":
        return ExportedLabels(_table(labels), {})
    if to == FORMAT_NAME:
        return _annotated_pairs(labels, title)
    if to == "inspect-scores":
        return _inspect_scores(labels)
    raise DataError(f"unknown format {to!r}", fix=f"use one of {', '.join(EXPORTS)}")


# -- the long table -----------------------------------------------------------


def _table(labels: Sequence[Label]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in labels:
        values = {"outcome": label.outcome, "source": label.source, **label.to_json()}
        writer.writerow([_cell(name, values.get(name)) for name in COLUMNS])
    return file.getvalue()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in JSON_COLUMNS or not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value


# -- annotated pairs, version 2 (ICAI, 2406.06560) ----------------------------


def _annotated_pairs(labels: Sequence[Label], title: str) -> ExportedLabels:
    """A comparison for each item; each rater is an annotator, once for each principle. Nobody is averaged."""
    standing = latest(labels)
    left_out = Counter(f"of kind {label.kind}, no pair" for label in standing if label.kind != "pair")
    if len(standing) < len(labels):
        left_out["followed by a later label of the same rater"] = len(labels) - len(standing)
    pairs = [label for label in standing if label.kind == "pair" and len(label.answers) == 2]
    repeats = [label for label in pairs if label.repeat_of]
    left_out["repeats of the same rater"] = len(repeats)
    pairs = [label for label in pairs if not label.repeat_of]
    if not pairs:
        raise DataError("no label compares two answers", fix="export to csv or inspect-scores")
    whole = Counter(_annotator(label) for label in pairs if not label.principle)
    default = (whole or Counter(_annotator(label) for label in pairs)).most_common(1)[0][0]
    comparisons: dict[str, dict[str, Any]] = {}
    for label in pairs:
        row = comparisons.setdefault(label.item, _comparison(label))
        row["annotations"][_annotator(label)] = _annotation(label)
    value = {
        "metadata": {
            "version": "2.0",
            "description": "Labels of people and models, none of them averaged",
            "dataset_name": title,
            "default_annotator": default,
            "available_metadata_keys_per_comparison": ["item"],
        },
        "annotators": {_annotator(label): _who(label) for label in pairs},
        "comparisons": list(comparisons.values()),
    }
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return ExportedLabels(text, {why: count for why, count in left_out.items() if count})


def _annotator(label: Label) -> str:
    name = f"{label.rater}/{label.principle}" if label.principle else label.rater
    return f"{name}/decision" if is_decision(label) else name


def _who(label: Label) -> dict[str, Any]:
    about = f"under the principle {label.principle}" if label.principle else "of the whole answer"
    group = {"group": label.group} if label.group else {}
    name = _annotator(label)
    return {
        "name": name,
        "description": f"{label.rater}, {about}",
        "type": _TYPES[label.source],
        "source": label.source,
        **group,
    }


def _comparison(label: Label) -> dict[str, Any]:
    plain = isinstance(label.prompt, str)
    turns = [] if isinstance(label.prompt, str) else label.prompt
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    models = label.models or ("", "")
    return {
        "id": label.item,
        "prompt": label.prompt if plain else prompt_text(messages),
        **{
            f"response_{side}": {"text": text, **({"model": model} if model else {})}
            for side, text, model in zip("ab", label.answers, models, strict=True)
        },
        "annotations": {},
        "metadata": {"item": label.item},
        **({} if plain else {"messages": messages}),
    }


def _annotation(label: Label) -> dict[str, Any]:
    if label.outcome != "judged":
        return {"pref": None, "no_pref_reason": label.outcome}
    return {"pref": "a" if label.value > 0 else "b", "margin": abs(label.value)}


# -- Inspect ------------------------------------------------------------------


def _inspect_scores(labels: Sequence[Label]) -> ExportedLabels:
    """``[{id, value, epoch?, answer?, explanation?, metadata}]``; a sample stands once in each epoch.

    Where every sample has one number the value is that number. Else it is an object with a number for
    each rater and principle, so that no rater is averaged away.
    """
    standing = [label for label in latest(labels) if not label.repeat_of]
    usable = [label for label in standing if label.kind in ("pair", "rating") and _score(label) is not None]
    if not usable:
        raise DataError("no label is a number or a choice between two", fix="export to csv")
    samples: dict[tuple[str, int | None], list[Label]] = {}
    for label in usable:
        epoch = label.meta.get("epoch")
        key = label.item, epoch if isinstance(epoch, int) and not isinstance(epoch, bool) else None
        samples.setdefault(key, []).append(label)
    single = all(len(said) == 1 for said in samples.values())
    rows = [_record(item, epoch, said, single) for (item, epoch), said in samples.items()]
    lost = Counter(_no_score(label) for label in standing if label not in usable)
    lost["repeats, and labels followed by a later one"] = len(labels) - len(standing)
    text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    return ExportedLabels(text, {why: count for why, count in lost.items() if count})


def _record(item: str, epoch: int | None, said: Sequence[Label], single: bool) -> dict[str, Any]:
    values = {_annotator(label): _score(label) for label in said}
    reasons = [f"{_annotator(label)}: {label.rationale}" for label in said if label.rationale]
    answers = {label.answers for label in said if len(label.answers) == 1}
    return {
        "id": item,
        "value": next(iter(values.values())) if single else values,
        **({} if epoch is None else {"epoch": epoch}),
        **({"answer": next(iter(answers))[0]} if len(answers) == 1 else {}),
        **({"explanation": "\n".join(reasons)} if reasons else {}),
        "metadata": {"labels": [label.id for label in said], "raters": sorted({one.rater for one in said})},
    }


def _score(label: Label) -> float | None:
    """A rating's number; a pair's margin, 0 for a tie; None where nothing is a number."""
    if label.outcome == "tie":
        return 0
    return label.value if label.outcome == "judged" else None


def _no_score(label: Label) -> str:
    return label.outcome.replace("_", " ") if label.kind in ("pair", "rating") else f"of kind {label.kind}"
