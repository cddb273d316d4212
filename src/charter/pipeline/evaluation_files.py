"""What an evaluation leaves in a folder: the evidence, the answers, the cards of judges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.evaluation.evaluate import Evaluation
from charter.evaluation.report_json import evidence_of, report_of
from charter.pipeline.evaluating import Given
from charter.records import write_groups
from charter.rundir import RunDir, machine, now, versions, write_json

EVALUATION = "evaluation.json"
"""The evidence alone, which ``charter compare-runs`` reads, with how the answers were sampled."""


def write_found(
    directory: Path, found: Evaluation, constitution: Constitution, given: Given
) -> dict[str, Any]:
    """Write ``evaluation.json``, judged answers, tests and judges' cards.

    Returns:
        the evidence.
    """
    evidence = evidence_of(found, constitution, taught=given.taught, older=given.older)
    write_json(directory / EVALUATION, evidence)
    sides: Sequence[tuple[str, Any]] = (
        ("answers.jsonl", found.after),
        ("base_answers.jsonl", found.before),
        ("test_answers.jsonl", None if found.tests is None else found.tests.groups),
    )
    for name, groups in sides:
        if groups is not None:
            write_groups(directory / name, groups)
    if found.judge_card is not None:
        write_json(directory / "judge_card.json", found.judge_card.to_json())
    for number, card in enumerate(found.members, start=1):
        write_json(directory / f"judge_card.{number}.json", card.to_json())
    return evidence


def write_evaluation(
    out: str | Path,
    found: Evaluation,
    constitution: Constitution,
    given: Given,
    *,
    model: str,
    base: str | None = None,
    seed: int = 0,
    command: str = "",
) -> Path:
    """Write everything, ``report.json`` and the page of it too.

    Returns:
        the page.
    """
    from charter.reporting import parse_report, write_report

    directory = RunDir(out)
    evidence = write_found(directory.path, found, constitution, given)
    facts = {"machine": machine(), "versions": versions(), **({"command": command} if command else {})}
    report = report_of(evidence, constitution, model=model, base=base, created=now(), seed=seed, facts=facts)
    parse_report(report, where="report.json")  # what is wrong is found here, not by a reader
    write_json(directory.report_json, report)
    return write_report(directory.path)
