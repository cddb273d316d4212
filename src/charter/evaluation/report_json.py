"""An evaluation as the parts of ``report.json`` that it is the source of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.constitution.diff_report import sha_of_tests
from charter.evaluation.answers.shown import worst
from charter.evaluation.evaluate import Evaluation, examples
from charter.evaluation.limits import limits_of, since
from charter.evaluation.taught import Taught
from charter.feedback.rules.constitution import prompt_of

EVIDENCE = ("judge", "limits", "since", "attribution", "worst", "tests")
"""Keys that may stand beside ``adherence``."""


def evidence_of(
    found: Evaluation,
    constitution: Constitution,
    *,
    taught: Taught | None = None,
    older: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything an evaluation says, as plain data; see ``reporting/schema.md``.

    Args:
        found: the evaluation.
        constitution: under what.
        taught: what the model was trained on; None = not known.
        older: an older report to compare with.
    """
    asked = [prompt_of(group.samples[0].context) for group in found.after]
    card = found.judge_card
    evidence = {
        "adherence": found.card.to_json(),
        "health": list(found.health),
        "flags": list(found.flags),
        "examples": examples(found),
        "worst": worst(found.after),
        "prompts": len(found.after),
        "judge": {"name": found.judge, "card": None if card is None else card.to_json()}
        if found.judge
        else None,
        "limits": limits_of(
            found.card,
            constitution,
            prompts=asked,
            taught=taught,
            labels_elsewhere=found.labels_elsewhere,
            unasked=found.unasked,
        ),
        "since": None if older is None else since(older, constitution),
        "attribution": attribution(found, taught),
        "tests": None if found.tests is None else found.tests.to_json(),
        "sampling": dict(found.sampling),
    }
    plain: dict[str, Any] = json.loads(json.dumps(evidence))
    return plain


def attribution(found: Evaluation, taught: Taught | None) -> dict[str, Any] | None:
    """Per principle the change of adherence beside how much training data carries its id; None = not known.

    They stand side by side and prove no cause: data that carries an id may teach something else.
    """
    if taught is None:
        return None
    rows = []
    for row in found.card.principles:
        change = row.corrected_change if row.judged else row.change
        rows.append(
            {
                "principle": row.principle,
                "groups": taught.per_principle.get(row.principle, 0),
                "change": None if change is None else change.diff,
                "lo": None if change is None else change.lo,
                "hi": None if change is None else change.hi,
                "status": row.status,
            }
        )
    known = {row.principle for row in found.card.principles}
    elsewhere = {id: n for id, n in taught.per_principle.items() if id not in known}
    return {"source": taught.source, "rows": taught.rows, "principles": rows, "other_ids": elsewhere}


def constitution_json(constitution: Constitution) -> dict[str, Any]:
    """A constitution as the report names it; ``tests_sha`` tells later whether a row still holds."""
    return {
        "name": constitution.name,
        "version": constitution.version,
        "sha": constitution.sha,
        "path": Path(constitution.path).name,
        "principles": [
            {
                "id": principle.id,
                "title": principle.title,
                "level": principle.level,
                "sha": principle.sha,
                "tests_sha": sha_of_tests(principle),
                "text": principle.text,
            }
            for principle in constitution.whole.active
        ],
    }


def report_of(
    evidence: Mapping[str, Any],
    constitution: Constitution,
    *,
    model: str,
    base: str | None,
    created: str,
    seed: int,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """A whole ``report.json`` of an evaluation alone, without a training run around it.

    Args:
        evidence: of :func:`evidence_of`.
        constitution: under what.
        model: name of the model.
        base: name of the model before alignment; None = it was measured alone.
        created: UTC time.
        seed: of the evaluation.
        facts: ``machine``, ``versions`` and the like.
    """
    return {
        "schema": 1,
        "title": f"Adherence of {model}",
        "created": created,
        "constitution": constitution_json(constitution),
        "models": {**({} if base is None else {"base": {"name": base}}), "aligned": {"name": model}},
        **{name: evidence[name] for name in ("adherence", "health", "flags", "examples", *EVIDENCE)},
        "data": {"prompts": {"heldout": evidence["prompts"]}},
        "seed": seed,
        **facts,
    }
