"""Read and check ``report.json``; its format is ``schema.md`` beside this file.

Optional parts may be missing and stay missing: nothing is ever filled in with 0.
A wrong type, a rate outside [0, 1] or a newer schema is an error that names the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.reporting.content import (
    Adherence,
    Change,
    Constitution,
    Data,
    Example,
    Gate,
    Health,
    Mean,
    Rate,
    Report,
    Row,
    Stage,
    Training,
)
from charter.reporting.node import Node

SCHEMA = 1
STATUSES = ("rose", "fell", "kept", "measured", "not_measured")
GATE_RESULTS = ("pass", "fail", "undecided")


def read_report(run: Path) -> Report:
    """The report of a run directory.

    Raises:
        UserError: no such run, a run without report, or a report that is damaged.
    """
    if not run.is_dir():
        raise UserError("no such run directory", where=str(run), fix="check the path")
    path = run / "report.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            "this run has no report.json: it was not evaluated",
            where=str(run),
            fix="finish it with 'charter run RECIPE.yaml', which goes on where it stopped",
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"report cannot be read: {error}", where=str(path), fix="evaluate again to write it anew"
        ) from None
    return parse_report(value, where=str(path))


def parse_report(value: Any, *, where: str = "report.json") -> Report:
    """Check a report's JSON value.

    Raises:
        UserError: with the key that is wrong.
    """
    node = Node(value, where)
    schema = node.count("schema")
    if schema != SCHEMA:
        raise UserError(
            f"schema is {schema!r}, but this version reads {SCHEMA}",
            where=where,
            fix="use the version of Charter that wrote the run, or evaluate again",
        )
    constitution = node.child("constitution")
    texts = {item.text("id"): item for item in constitution.children("principles")}
    models = node.child("models")
    aligned, training = models.child("aligned"), node.child("training")
    return Report(
        title=node.text("title", "Adherence report"),
        created=node.text("created"),
        constitution=Constitution(*(constitution.text(key) for key in ("name", "version", "sha", "path"))),
        base=models.child("base").text("name"),
        aligned=aligned.text("name"),
        aligned_path=aligned.text("path"),
        algorithm=aligned.text("algorithm") or training.text("algorithm"),
        adherence=_adherence(node.must_child("adherence"), texts),
        health=tuple(_health(item) for item in node.children("health")),
        flags=node.texts("flags"),
        examples=tuple(_example(item) for item in node.children("examples")),
        data=_data(node.child("data")),
        training=None if training.missing else _training(training),
        stages=tuple(_stage(item) for item in node.children("stages")),
        command=node.text("command"),
        machine=_facts(node, "machine"),
        versions=tuple(node.child("versions").items()),
        seed=node.words("seed"),
        manifest=tuple(node.child("manifest").items()),
    )


def _facts(node: Node, key: str) -> tuple[tuple[str, str], ...]:
    """An object's entries, or one line of text."""
    if isinstance(node.value.get(key), str):
        return (("", node.text(key)),)
    return tuple(node.child(key).items())


def _adherence(node: Node, texts: Mapping[str, Node]) -> Adherence:
    overall, criteria, coverage = node.child("overall"), node.child("criteria"), node.child("coverage")
    rows = [_row(item, texts) for item in node.children("principles")]
    known = {row.id for row in rows}
    rows += [
        _missing_row(item, texts) for item in node.children("not_measured") if item.text("id") not in known
    ]
    fraction = overall.child("fraction")
    return Adherence(
        overall=_row(overall, {}, whole=True),
        left_out=overall.counts("left_out"),
        fraction=Mean(_rate(fraction, "before"), _rate(fraction, "after"), _change(fraction)),
        principles=tuple(rows),
        gates=tuple(_gate(item) for item in node.children("gates")),
        alpha=_or(criteria.number("alpha"), 0.05),
        min_prompts=int(_or(criteria.count("min_prompts"), 40)),
        ceiling=_or(criteria.number("ceiling"), 0.9),
        level=_or(criteria.number("level"), 0.95),
        base_only=coverage.count("base_only") or 0,
        aligned_only=coverage.count("aligned_only") or 0,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _row(node: Node, texts: Mapping[str, Node], *, whole: bool = False) -> Row:
    name = "" if whole else node.text("principle")
    told = texts.get(name) or Node(None, node.where)
    status = node.text("status", "not_measured")
    _one_of(node, "status", status, STATUSES)
    missing = node.child("missing")
    return Row(
        id=name,
        title="All principles together" if whole else node.text("title") or told.text("title") or name,
        level=node.text("level") or told.text("level"),
        sha=node.text("sha") or told.text("sha"),
        text=told.text("text"),
        applicable=node.count("applicable"),
        n=node.count("n_prompts"),
        before=_rate(node, "before"),
        after=_rate(node, "after"),
        change=_change(node),
        status=status,
        why=node.text("why"),
        missing_before=missing.counts("before"),
        missing_after=missing.counts("after"),
    )


def _missing_row(node: Node, texts: Mapping[str, Node]) -> Row:
    name = node.text("id")
    told = texts.get(name) or Node(None, node.where)
    return Row(
        id=name,
        title=node.text("title") or told.text("title") or name,
        level=told.text("level"),
        sha=told.text("sha"),
        text=told.text("text"),
        applicable=None,
        n=None,
        before=None,
        after=None,
        change=None,
        status="not_measured",
        why=node.text("why"),
        missing_before={},
        missing_after={},
    )


def _rate(node: Node, key: str) -> Rate | None:
    rate = node.child(key)
    if rate.missing:
        return None
    return Rate(rate.rate("rate"), rate.rate("lo"), rate.rate("hi"), rate.count("k"), rate.count("n"))


def _change(node: Node) -> Change | None:
    change = node.child("change")
    if change.missing:
        return None
    diff, lo, hi = (change.rate(key, lowest=-1.0) for key in ("diff", "lo", "hi"))
    holm = None if change.number("p_holm") is None else change.rate("p_holm")
    return Change(diff, lo, hi, change.rate("p"), holm, change.text("test"))


def _gate(node: Node) -> Gate:
    result = node.text("result")
    _one_of(node, "result", result, GATE_RESULTS)
    return Gate(
        node.text("level"), node.rate("min_lower_bound"), result, node.text("why"), _rate(node, "rate")
    )


def _health(node: Node) -> Health:
    limit = node.value.get("limit")
    return Health(
        measure=node.text("measure"),
        label=node.text("label") or node.text("measure"),
        unit=node.text("unit"),
        before=node.number("before"),
        after=node.number("after"),
        limit=node.text("limit") if isinstance(limit, str) else "",
        limit_number=None if isinstance(limit, str) else node.number("limit"),
        flag=node.flag("flag"),
    )


def _example(node: Node) -> Example:
    return Example(
        id=node.text("id"),
        prompt=node.text("prompt"),
        before=_answer(node, "before"),
        after=_answer(node, "after"),
        before_verdicts=node.flags("before_verdicts"),
        after_verdicts=node.flags("after_verdicts"),
    )


def _answer(node: Node, key: str) -> str | None:
    return None if node.value.get(key) is None else node.text(key)


def _data(node: Node) -> Data:
    pairs = node.child("pairs")
    return Data(
        prompts=tuple(node.child("prompts").items()),
        samples=node.count("samples"),
        pairs=pairs.count("total"),
        pairs_per_principle=None if pairs.child("per_principle").missing else pairs.counts("per_principle"),
        dropped=None if node.child("dropped").missing else node.counts("dropped"),
    )


def _training(node: Node) -> Training:
    return Training(
        algorithm=node.text("algorithm"),
        steps=node.count("steps"),
        stopped_by=node.text("stopped_by"),
        options=tuple(node.child("options").items()),
        curves=_curves(node.child("curves")),
        kl_limit=node.number("kl_limit"),
    )


def _curves(node: Node) -> dict[str, tuple[tuple[float, float], ...]]:
    """Lists beside ``step``, and lists of ``[step, value]`` pairs; gaps are left out of a line."""
    steps = node.numbers("step")
    curves: dict[str, tuple[tuple[float, float], ...]] = {}
    for name, value in node.value.items():
        if name == "step" or not value:
            continue
        if isinstance(value, list) and isinstance(value[0], list):
            curves[name] = node.points(name)
            continue
        numbers = node.numbers(name)
        if len(numbers) != len(steps):
            raise UserError(
                f"{node.path}.{name} has {len(numbers)} values for {len(steps)} steps", where=node.where
            )
        pairs = zip(steps, numbers, strict=True)
        curves[name] = tuple((x, y) for x, y in pairs if x is not None and y is not None)
    return curves


def _stage(node: Node) -> Stage:
    return Stage(
        number=node.count("number"),
        name=node.text("name"),
        seconds=node.number("seconds"),
        summary=node.text("summary"),
        skipped=bool(node.flag("skipped")),
    )


def _one_of(node: Node, key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(
            f"{node.path}.{key} must be one of {', '.join(allowed)}, not {value!r}", where=node.where
        )
