"""From labels to a judge in a folder: read, split, fit, measure, write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.constitution import Constitution
from charter.errors import UserError
from charter.feedback.judging.clause import clause_of
from charter.feedback.judging.distilled.cross_fit import CrossFitted, cross_fit, task_of
from charter.feedback.judging.distilled.features import Reader, Reading, Rendered
from charter.feedback.judging.distilled.folder import FEATURES, check_folder, write_judge
from charter.feedback.judging.distilled.folds import Folds, folds_of
from charter.feedback.judging.distilled.held_out import HeldOut, calibrated, held_out
from charter.feedback.judging.distilled.judge import clause_sha
from charter.feedback.judging.distilled.rows import Found, Rows, rows_of
from charter.feedback.judging.distilled.sources import from_examples, from_judgements, from_rules, judgeable
from charter.rundir import now, versions

if TYPE_CHECKING:
    from charter.models.policy import Policy
    from charter.types import Group

FOLDS = 5


@dataclass(frozen=True)
class Distilled:
    """A judge that was made.

    Attributes:
        folder: where it is.
        manifest: what is written there.
        rows, folds, fitted: what it was made from, the split, and the heads.
        overall: held-out results over all principles.
        principles: of each.
    """

    folder: Path
    manifest: dict[str, Any]
    rows: Rows
    folds: Folds
    fitted: CrossFitted
    overall: HeldOut
    principles: dict[str, HeldOut]


def gather(constitution: Constitution, answers: Sequence[Group] = (), labels: Found | None = None) -> Rows:
    """Everything there is to learn from.

    Args:
        constitution: its examples, and its rules on ``answers``.
        answers: completions; judgements that another judge left in them count as well.
        labels: what people said.

    Raises:
        UserError: no label at all.
        DataError, ConstitutionError: see :func:`charter.feedback.judging.distilled.sources.from_rules`.
    """
    found = from_examples(constitution)
    if answers:
        whole = [one for one in answers if all(sample.completion.content for sample in one.samples)]
        if len(whole) < len(answers):
            found.left_out["groups with a prompt that nobody answered"] += len(answers) - len(whole)
        found.add(from_rules(constitution, whole))
        found.add(from_judgements(constitution, whole))
    if labels is not None:
        found.add(labels)
    rows = rows_of(found)
    if not rows.items:
        raise UserError(
            "nothing to learn from: no GOOD or BAD answer, no rule that judges an answer, no label",
            where=constitution.path,
            fix="write GOOD and BAD answers, or give --answers or --labels",
        )
    return rows


def distil(
    constitution: Constitution,
    rows: Rows,
    policy: Policy,
    folder: Path,
    *,
    model: str = "",
    reading: Reading | None = None,
    folds: int = FOLDS,
    max_tokens: int = 2048,
) -> Distilled:
    """Make a judge and write it to ``folder``.

    Args:
        constitution: its principles.
        rows: from :func:`gather`.
        policy: the frozen model that reads.
        folder: new, or of an earlier judge, whose features are used again.
        model: how the judge finds the model again; "" = the policy's name.
        reading: see :class:`charter.feedback.judging.distilled.features.Reading`.
        folds: how many heads.
        max_tokens: longer answers, with their conversation, are left out.

    Raises:
        UserError: the folder holds other things, or there is too little to learn from.
        Interrupted: the person asked to stop; what was read is kept.
    """
    check_folder(folder)
    folds_of(rows, folds)  # too little is known before the model reads anything
    folder.mkdir(parents=True, exist_ok=True)
    reader = Reader(policy, reading, store=folder / FEATURES, max_tokens=max_tokens)
    written = {
        one.id: clause_of(one, constitution).written
        for one in constitution.active
        if one.id in judgeable(constitution)
    }
    rows, rendered = _readable(rows, reader, written)
    split = folds_of(rows, folds)
    x = reader.read(rendered)
    counts = rows.counts()
    known = sorted(counts)
    task = task_of(rows, x, known)
    fitted = cross_fit(rows, task, split)
    overall = held_out(rows, split, fitted, lambda *_: True)
    results = {id: held_out(rows, split, fitted, lambda p, _, id=id: p == id) for id in known}  # type: ignore[misc]
    sources = sorted({source for of in counts.values() for source in of})
    by_source = {name: held_out(rows, split, fitted, lambda _, s, name=name: s == name) for name in sources}  # type: ignore[misc]
    shas = judgeable(constitution)
    titles = {one.id: one.title for one in constitution.active}
    manifest = {
        "made": now(),
        "versions": versions(),
        "constitution": {"name": constitution.name, "sha": constitution.sha},
        "model": {"name": model or policy.name, "digest": reader.digest},
        "max_tokens": max_tokens,
        "longest_answer": max(one.answer_tokens for one in rendered),
        "temperature": fitted.temperature,
        "calibration": calibrated(rows, fitted),
        "principles": {
            id: {
                "number": number,
                "title": titles[id],
                "sha": shas[id],
                "clause_sha": clause_sha(written[id]),
                "rows": counts[id],
                "held_out": results[id].to_json(),
            }
            for number, id in enumerate(known)
        },
        "not_trained_on": sorted(set(written) - set(known)),
        "left_out": dict(rows.left_out),
        "answers": len(rows.items),
        "prompts": len(set(split.cluster)),
        "held_out": overall.to_json(),
        "held_out_by_source": {name: one.to_json() for name, one in by_source.items()},
    }
    said = write_judge(folder, manifest, fitted.heads, reader.reading)
    return Distilled(folder, said, rows, split, fitted, overall, results)


def _readable(rows: Rows, reader: Reader, written: dict[str, str]) -> tuple[Rows, list[Rendered]]:
    """Rows that the model can read, and how; the others are counted by why."""
    rendered = [reader.render(written[one.principle], one.seen) for one in rows.items]
    why = Counter(one.why for one in rendered if one.sample is None)
    for reason in why:
        gone = [i for i, one in enumerate(rendered) if one.sample is None and one.why == reason]
        rows = rows.without(gone, f"answers the model cannot read: {reason}")
        rendered = [one for i, one in enumerate(rendered) if i not in set(gone)]
    if not rows.items:
        raise UserError("the model can read none of the answers", fix=f"the first reason: {next(iter(why))}")
    return rows, rendered
