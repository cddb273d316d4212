"""Groups and judgements as plain JSON, and back without loss.

Token ids, trained flags, sampler log-probs and finish reasons survive, so what
was sampled is what is trained on: nothing is tokenised twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.rundir import read_jsonl, write_jsonl
from charter.types import (
    Completion,
    Content,
    Context,
    Credit,
    Group,
    Judgement,
    Message,
    PairTarget,
    Sample,
    SampleTarget,
    SegmentTarget,
    Target,
)

_TARGETS: dict[str, type[Target]] = {"sample": SampleTarget, "pair": PairTarget, "segment": SegmentTarget}


def group_to_json(group: Group) -> dict[str, Any]:
    """One group as plain data."""
    return {
        "id": group.id,
        "source": group.source,
        "samples": [_sample_to_json(s) for s in group.samples],
        "judgements": [judgement_to_json(j) for j in group.judgements],
        "meta": dict(group.meta),
        "part": group.part,
    }


def group_from_json(row: dict[str, Any]) -> Group:
    """The group that :func:`group_to_json` wrote."""
    return Group(
        samples=tuple(_sample_from_json(s) for s in row["samples"]),
        judgements=tuple(judgement_from_json(j) for j in row["judgements"]),
        id=row["id"],
        source=row["source"],
        meta=row["meta"],
        part=row.get("part", ""),
    )


def judgement_to_json(judgement: Judgement) -> dict[str, Any]:
    """One judgement as plain data; ``target`` is ``{kind: {...}}``."""
    values = asdict(judgement)
    kind = next(k for k, t in _TARGETS.items() if isinstance(judgement.target, t))
    return {**values, "target": {kind: values["target"]}}


def judgement_from_json(row: dict[str, Any]) -> Judgement:
    """The judgement that :func:`judgement_to_json` wrote."""
    ((kind, target),) = row["target"].items()
    return Judgement(**{**row, "target": _TARGETS[kind](**target)})


def write_groups(path: Path, groups: Iterable[Group]) -> None:
    """Write one group a line, atomically."""
    write_jsonl(path, (group_to_json(g) for g in groups))


def read_groups(path: Path) -> list[Group]:
    """Groups that :func:`write_groups` wrote.

    Raises:
        UserError: the file holds something else.
    """
    groups = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            groups.append(group_from_json(row))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"not a row of sampled groups ({type(error).__name__}: {error})", where=f"{path}:{number}"
            ) from None
    return groups


def is_groups_file(data: Any) -> bool:
    """Whether ``data`` is a file that :func:`write_groups` wrote, by its first line."""
    if not isinstance(data, (str, Path)) or not str(data).endswith(".jsonl") or not Path(data).is_file():
        return False
    with Path(data).open(encoding="utf-8", errors="replace") as file:
        line = file.readline()
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and row.keys() >= {"samples", "judgements", "source"}


def _sample_to_json(sample: Sample) -> dict[str, Any]:
    context, completion = sample.context, sample.completion
    return {
        "context": {"content": _content_to_json(context.content), "token_ids": list(context.token_ids)},
        "completion": {
            "content": _content_to_json(completion.content),
            "token_ids": list(completion.token_ids),
            "trained": [int(flag) for flag in completion.trained],
            "logps": list(completion.logps),
            "finish_reason": completion.finish_reason,
            "sampled_by": completion.sampled_by,
            "weight_version": completion.weight_version,
        },
        "role": sample.role,
        **({} if sample.credit is None else {"credit": asdict(sample.credit)}),
    }


def _sample_from_json(row: dict[str, Any]) -> Sample:
    context, completion = row["context"], row["completion"]
    return Sample(
        Context(_content_from_json(context["content"]), tuple(context["token_ids"])),
        Completion(
            content=_content_from_json(completion["content"]),
            token_ids=tuple(completion["token_ids"]),
            trained=tuple(bool(flag) for flag in completion["trained"]),
            logps=tuple(completion["logps"]),
            finish_reason=completion["finish_reason"],
            sampled_by=completion["sampled_by"],
            weight_version=completion["weight_version"],
        ),
        row.get("role", "policy"),
        _credit_from_json(row["credit"]) if "credit" in row else None,
    )


def _credit_from_json(row: dict[str, list[float]]) -> Credit:
    return Credit(**{name: tuple(values) for name, values in row.items()})


def _content_to_json(content: Content) -> Any:
    if isinstance(content, str):
        return content
    return [{"role": m.role, "content": m.content} for m in content]


def _content_from_json(value: Any) -> Content:
    if isinstance(value, str):
        return value
    return tuple(Message(turn["role"], turn["content"]) for turn in value)
