"""Revisions as rows in TRL's formats: imitation of the last revision, or revision over first answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from charter.feedback.pairs.rows import preference_rows
from charter.feedback.revising.record import Revised
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

JUDGE = "revision"
"""``judge`` of the pairs: nobody compared the two, the second was written to be better."""


def sft_rows(records: Iterable[Revised]) -> list[dict[str, Any]]:
    """The prompt with its last revision, TRL's conversational prompt-completion format.

    Beside ``prompt`` and ``completion`` each row has ``id``, ``principle`` and ``principle_sha`` (of
    the round that wrote it), ``principles`` and ``principle_shas`` (of all rounds that led to it),
    ``rounds``, ``tags``, ``answered_by``, ``criticised_by``, ``revised_by`` and ``prompt_shas``.
    """
    return [
        {
            "id": record.id,
            "prompt": [{"role": turn.role, "content": turn.content} for turn in record.turns],
            "completion": [{"role": "assistant", "content": record.final}],
            **_origin(record),
        }
        for record in records
        if record.used
    ]


def revision_pairs(records: Iterable[Revised]) -> list[Group]:
    """Groups of two, the last revision better than the first answer."""
    return [_pair(record) for record in records if record.used]


def revision_preference_rows(records: Iterable[Revised]) -> list[dict[str, Any]]:
    """The last revision chosen over the first answer, TRL's preference format.

    The columns of :func:`charter.feedback.pairs.rows.preference_rows` without ``margin``, which
    nobody measured, and those of :func:`sft_rows`.
    """
    used = [record for record in records if record.used]
    rows = pair_rows(revision_pairs(used))
    return [{**row, **_origin(record)} for row, record in zip(rows, used, strict=True)]


def pair_rows(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """Groups of two, better first, as preference rows with ``principle_sha`` and ``probability``.

    A pair that is certain has no ``probability``; a margin is only written where the judgement is soft.
    """
    groups = list(groups)
    rows = []
    for group, row in zip(groups, preference_rows(groups), strict=True):
        (said,) = group.judgements
        row["principle_sha"] = said.principle_sha
        if said.probability is None:
            del row["margin"]
        else:
            row["probability"] = said.probability
        rows.append(row)
    return rows


def _pair(record: Revised) -> Group:
    context, last = Context(record.turns), record.used[-1]
    answers = ((last.text, record.revised_by, False), (record.answer, record.answered_by, record.answer_cut))
    samples = tuple(
        Sample(
            context,
            Completion(
                (Message("assistant", text),), finish_reason="length" if cut else "stop", sampled_by=by
            ),
        )
        for text, by, cut in answers
    )
    said = Judgement(
        PairTarget(0, 1),
        1.0,
        principle=last.principle,
        principle_sha=last.principle_sha,
        judge=JUDGE,
        reason=last.critique,
    )
    meta = {
        **record.meta,
        "principles": [step.principle for step in record.used],
        "principle_shas": [step.principle_sha for step in record.used],
        "tags": list(record.meta.get("tags", ())),
    }
    return Group(samples, (said,), record.id, record.source, meta)


def _origin(record: Revised) -> dict[str, Any]:
    last = record.used[-1]
    return {
        "principle": last.principle,
        "principle_sha": last.principle_sha,
        "principles": [step.principle for step in record.used],
        "principle_shas": [step.principle_sha for step in record.used],
        "rounds": len(record.used),
        "tags": list(record.meta.get("tags", ())),
        "answered_by": record.answered_by,
        "criticised_by": record.criticised_by,
        "revised_by": record.revised_by,
        "prompt_shas": list(last.prompt_shas),
    }
