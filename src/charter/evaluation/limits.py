"""What an evaluation does not show: untested principles, judges that failed, tests that were trained on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.constitution.lint_training import lint_training
from charter.data.overlap import ngram_overlap
from charter.errors import UserError
from charter.evaluation.rates.card import AdherenceCard
from charter.evaluation.taught import Taught
from charter.rundir import sha256_json

_SHA = 16


def tests_of(constitution: Constitution) -> dict[str, str]:
    """Every test of an active principle, ``principle/test`` to the sha of what it says."""
    return {
        f"{principle.id}/{case.id}": sha256_json(case.to_dict())[:_SHA]
        for principle in constitution.whole.active
        for case in principle.tests
    }


def limits_of(
    card: AdherenceCard,
    constitution: Constitution,
    *,
    prompts: Sequence[str] = (),
    taught: Taught | None = None,
    labels_elsewhere: int = 0,
    unasked: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Section J of the report, as a JSON object.

    Args:
        card: what was measured.
        constitution: under what.
        prompts: what the models were asked.
        taught: what the model was trained on; None = not known, which is said.
        labels_elsewhere: people's labels that are of no answer that was measured.
        unasked: why some of the constitution's tests were not asked, by id.
    """
    by_evidence: dict[str, list[dict[str, str]]] = {}
    for row in card.principles:
        if row.basis is not None and row.basis.evidence not in ("exact", "calibrated"):
            told = {"principle": row.principle, "level": row.level, "why": row.basis.why}
            by_evidence.setdefault(row.basis.evidence, []).append(told)
    return {
        "untested": by_evidence.get("untested", []),
        "uncalibrated": by_evidence.get("uncalibrated", []),
        "refused": [*by_evidence.get("refused", []), *by_evidence.get("undecided", [])],
        "not_measured": [
            {"principle": row.principle, "level": row.level, "why": row.why} for row in card.not_measured
        ],
        "missing_verdicts": _missing(card),
        "training": _overlap(constitution, prompts, taught),
        "labels_elsewhere": labels_elsewhere,
        "unasked": dict(unasked or {}),
        "left_alone": _left_alone(constitution),
        "tests": tests_of(constitution),
    }


def _left_alone(constitution: Constitution) -> list[str]:
    """Principles in force that were not in question; gates are not judged where there are any."""
    asked = {one.id for one in constitution.active}
    return [one.id for one in constitution.whole.active if one.id not in asked]


def read_older(path: str | Path) -> dict[str, Any]:
    """An older report.

    Args:
        path: a ``report.json``, or the directory that holds one.

    Raises:
        UserError: there is none, or it is no report.
    """
    found = Path(path)
    found = found / "report.json" if found.is_dir() else found
    try:
        value = json.loads(found.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("no such report", where=str(found), fix="give an older report.json") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"the report cannot be read: {error}", where=str(found)) from None
    if not isinstance(value, dict) or not isinstance(value.get("adherence"), dict):
        raise UserError(
            "this is not a report", where=str(found), fix="give a report.json of charter evaluate"
        )
    return value


def since(older: Mapping[str, Any], constitution: Constitution) -> dict[str, Any]:
    """What changed since an older report: tests removed or reworded, principles that came, went or changed.

    ``tests_known`` is false where the older report does not list its tests: nothing can be said of them.
    """
    then = (older.get("limits") or {}).get("tests")
    now = tests_of(constitution)
    told = older.get("constitution") or {}
    shas = {
        str(row.get("principle")): str(row.get("sha") or "")
        for row in (older["adherence"].get("principles") or [])
        if isinstance(row, dict)
    }
    active = {one.id: one.sha for one in constitution.whole.active}
    known = isinstance(then, dict)
    listed = then if isinstance(then, dict) else {}
    return {
        "created": older.get("created"),
        "constitution": {"version": told.get("version"), "sha": told.get("sha")},
        "tests_known": known,
        "tests_removed": sorted(set(listed) - set(now)),
        "tests_changed": sorted(id for id in set(listed) & set(now) if listed[id] != now[id]),
        "tests_added": sorted(set(now) - set(listed)) if known else [],
        "principles_removed": sorted(set(shas) - set(active)),
        "principles_added": sorted(set(active) - set(shas)),
        "principles_changed": sorted(
            id for id in set(shas) & set(active) if shas[id] and shas[id] != active[id]
        ),
    }


def limit_lines(limits: Mapping[str, Any], since: Mapping[str, Any] | None = None) -> list[str]:
    """The limits in sentences for people; empty = none were found."""
    lines = [
        f"{word}: {one['principle']}: {one['why']}"
        for key, word in (("untested", "untested"), ("uncalibrated", "uncalibrated"), ("refused", "refused"))
        for one in limits[key]
    ]
    lines += [
        f"{n} verdicts missing ({why.replace('_', ' ')})" for why, n in limits["missing_verdicts"].items()
    ]
    if refused := limits.get("unasked"):
        first, why = next(iter(refused.items()))
        lines.append(f"{len(refused)} test conversations could not be asked, the first {first}: {why}")
    if alone := limits["left_alone"]:
        lines.append(f"{len(alone)} other principles were not in question, so no gate was judged")
    training = limits["training"]
    if training is None:
        lines.append("what the model was trained on is not known: whether tests were in it cannot be told")
    else:
        lines += [one["message"] for one in training["tests"]]
        if training["prompts_exact"]:
            lines.append(f"{training['prompts_exact']} prompts here are training prompts as well")
        if training["prompts_shared"] > training["prompts_exact"]:
            more = training["prompts_shared"] - training["prompts_exact"]
            lines.append(f"{more} prompts here share a run of eight words with a training prompt")
    if limits["labels_elsewhere"]:
        lines.append(f"{limits['labels_elsewhere']} labels are of no answer that was measured")
    return lines + _since_lines(since)


def _since_lines(since: Mapping[str, Any] | None) -> list[str]:
    if since is None:
        return []
    if not since["tests_known"]:
        return ["the older report does not list its tests: whether any were removed cannot be told"]
    return [
        *(f"test removed since the older report: {one}" for one in since["tests_removed"]),
        *(f"test reworded since the older report: {one}" for one in since["tests_changed"]),
        *(f"principle gone since the older report: {one}" for one in since["principles_removed"]),
        *(f"principle reworded since the older report: {one}" for one in since["principles_changed"]),
    ]


def _missing(card: AdherenceCard) -> dict[str, int]:
    """Answers that should have a verdict and have none; principles that nobody judges are not among them."""
    counts: Counter[str] = Counter()
    for row in card.principles:
        if row.basis is not None and not row.basis.measures:
            continue
        for side in (row.missing_before or {}, row.missing_after):
            counts.update(side)
    return {why: n for why, n in counts.items() if n}


def _overlap(
    constitution: Constitution, prompts: Sequence[str], taught: Taught | None
) -> dict[str, Any] | None:
    if taught is None:
        return None
    found = ngram_overlap(taught.prompts, list(prompts))
    return {
        "source": taught.source,
        "rows": taught.rows,
        "tests": [one.to_dict() for one in lint_training(constitution, taught.texts)],
        "prompts": found.total,
        "prompts_exact": found.exact,
        "prompts_shared": found.shared,
        "examples": [prompts[place] for place in found.examples],
    }
