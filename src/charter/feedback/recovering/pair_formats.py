"""Preference data as groups: what the data readers know, sampled groups, and the two formats of ICAI."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charter.data.formats import groups_of
from charter.data.read import read_rows
from charter.data.rows import Rows
from charter.errors import DataError
from charter.records import is_groups_file, read_groups
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

_TABLE = {"text_a", "text_b", "preferred_text"}
_NO_SIDE = ("tie", "", None, "Not applicable", "none", "both")
_NO_PREFERENCE = "labels that prefer neither answer"


def groups_in(source: Any) -> tuple[Sequence[Group], Mapping[str, int]]:
    """Groups with labels, and what was changed or left out on the way.

    Raises:
        DataError: no such file, or a bad row.
    """
    if isinstance(source, list | tuple) and source and all(isinstance(one, Group) for one in source):
        return source, {}
    if is_groups_file(source):
        return read_groups(Path(source)), {}
    if isinstance(source, str | Path) and (whole := _annotated(Path(source))) is not None:
        return _annotated_pairs(whole, str(source))
    rows = read_rows(source)
    columns = {column for row in rows.rows for column in row.values}
    if columns >= _TABLE:
        return _table(rows)
    loaded = groups_of(rows, "preference")
    changes = {what: n for what, n in loaded.counts.items() if what != "rows read"}
    return loaded.groups, changes


def _table(rows: Rows) -> tuple[list[Group], dict[str, int]]:
    """``text_a``, ``text_b``, ``preferred_text`` and perhaps ``input`` (ICAI, 2406.06560)."""
    groups, ties = [], 0
    for row in rows.rows:
        texts = [row.values.get("text_a"), row.values.get("text_b")]
        if not all(isinstance(text, str) and text for text in texts):
            raise DataError("text_a and text_b are texts that are not empty", where=row.source)
        side = _side(row.values["preferred_text"], row.source)
        if side is None:
            ties += 1
            continue
        prompt = str(row.values.get("input") or "")
        models = [str(row.values.get(name) or "") for name in ("model_a", "model_b")]
        groups.append(_group(prompt, [str(text) for text in texts], models, side, "dataset", row.source))
    return groups, {_NO_PREFERENCE: ties}


def _annotated(path: Path) -> Mapping[str, Any] | None:
    """The content of a file of annotated pairs; None = it is something else."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None  # the reader of rows says what is wrong with it
    return whole if isinstance(whole, dict) and {"annotators", "comparisons"} <= whole.keys() else None


def _annotated_pairs(whole: Mapping[str, Any], name: str) -> tuple[list[Group], dict[str, int]]:
    """Annotated pairs, version 2: what the default annotator prefers."""
    default = (whole.get("metadata") or {}).get("default_annotator") or next(iter(whole["annotators"]), "")
    groups, ties = [], 0
    for number, pair in enumerate(whole["comparisons"], start=1):
        where = f"{name}, comparison {number}"
        try:
            said = (pair["annotations"].get(default) or {}).get("pref")
            texts = [pair[f"response_{side}"]["text"] for side in "ab"]
            models = [str(pair[f"response_{side}"].get("model") or "") for side in "ab"]
        except (KeyError, TypeError, AttributeError):
            raise DataError("not a pair of annotated pairs, version 2", where=where) from None
        side = _side(said, where)
        if side is None:
            ties += 1
        else:
            groups.append(_group(str(pair.get("prompt") or ""), texts, models, side, default, where))
    return groups, {_NO_PREFERENCE: ties}


def _side(said: Any, where: str) -> int | None:
    if said in _NO_SIDE:
        return None
    if said in ("a", "text_a"):
        return 0
    if said in ("b", "text_b"):
        return 1
    raise DataError(
        f"unknown preference {said!r}", where=where, fix="write text_a or text_b, and tie for neither"
    )


def _group(
    prompt: str, texts: Sequence[str], models: Sequence[str], side: int, judge: str, where: str
) -> Group:
    context = Context((Message("user", prompt),) if prompt else "")
    samples = tuple(
        Sample(
            context,
            Completion((Message("assistant", text),) if prompt else text, sampled_by=model or "dataset"),
        )
        for text, model in zip(texts, models, strict=True)
    )
    return Group(samples, (Judgement(PairTarget(side, 1 - side), 1.0, judge=judge),), where, where)
