"""What was labelled and by whom: coverage of principles and strata, balance of people, experts and models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from charter.feedback.people.heard import choice, question
from charter.label import SOURCES, Label
from charter.stats.raters.measure import mean_of


def coverage(
    labels: Sequence[Label], principles: Sequence[str], levels: Mapping[str, str], stratum: str
) -> dict[str, Any]:
    """Labels by principle and stratum; a principle of the constitution without any is there with 0."""
    cells: dict[tuple[str, str], list[Label]] = {(id, ""): [] for id in principles}
    for label in labels:
        cells.setdefault((label.principle, str(label.meta.get(stratum, ""))), []).append(label)
    for id in principles:
        if not cells[id, ""] and any(key[0] == id for key in cells if key != (id, "")):
            del cells[id, ""]
    rows = [
        {
            "principle": principle,
            "level": levels.get(principle, ""),
            "stratum": name,
            "labels": len(mine),
            "questions": len({question(label) for label in mine}),
            "raters": len({label.rater for label in mine}),
        }
        for (principle, name), mine in cells.items()
    ]
    labelled = {label.principle for label in labels}
    return {
        "cells": rows,
        "without_labels": [id for id in principles if id not in labelled],
        "unknown_principles": sorted(labelled - set(principles) - {""}) if principles else [],
    }


def balance(labels: Sequence[Label], *, level: float = 0.95) -> dict[str, Any]:
    """How much each source says, and how often two sources agree on the questions both answered."""
    counts = Counter(label.source for label in labels)
    sources = {
        source: {
            "labels": counts[source],
            "share": counts[source] / len(labels),
            "raters": len({label.rater for label in labels if label.source == source}),
            "questions": len({question(label) for label in labels if label.source == source}),
        }
        for source in SOURCES
    }
    said: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for label in labels:
        if (value := choice(label)) is not None:
            key = (*question(label), label.kind)
            said.setdefault(key, {}).setdefault(label.source, []).append(value)
    pairs = []
    for a, b in combinations([source for source in SOURCES if counts[source]], 2):
        shared = [
            fmean(float(x == y) for x in by[a] for y in by[b]) for by in said.values() if a in by and b in by
        ]
        pairs.append({"first": a, "second": b, "agreement": mean_of(shared, level=level).to_json()})
    return {"sources": sources, "agreement": pairs}
