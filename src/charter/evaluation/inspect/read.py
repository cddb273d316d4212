"""Any log of Inspect as groups: conversations, answers, and scores as judgements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.errors import ConfigError, DataError, UserError, did_you_mean
from charter.evaluation.inspect.library import (
    EvalLog,
    EvalSample,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
)
from charter.evaluation.inspect.score_values import OURS, judgements_of
from charter.evaluation.inspect.transcripts import sample_of
from charter.progress import progress
from charter.records import judgement_from_json
from charter.types import Group, Judgement, Message, Sample, SampleTarget


@dataclass(frozen=True)
class Reading:
    """What a log held.

    Attributes:
        groups: one for each sample id; its samples are the epochs.
        left_out: samples, and parts of samples, that were not read, by reason.
        notes: what was read in another form than it stood there, by reason.
        log: of the log: task, model, status, scorers, constitution.
    """

    groups: tuple[Group, ...]
    left_out: Mapping[str, int]
    notes: Mapping[str, int]
    log: Mapping[str, Any]

    @property
    def samples(self) -> int:
        """Answers that were read."""
        return sum(len(group.samples) for group in self.groups)


@dataclass(frozen=True)
class Judged:
    """Which scorers speak for which principles.

    Attributes:
        constitution: has the principles.
        principles: principle id by scorer name (or ``NAME/KEY`` of a scorer with several values).
        pass_at: lowest score that passes; None = scores are 1 and 0 already.
    """

    constitution: Constitution
    principles: Mapping[str, str]
    pass_at: float | None = None

    def __post_init__(self) -> None:
        for scorer, id in self.principles.items():
            if id not in [one.id for one in self.constitution.active]:
                known = [one.id for one in self.constitution.active]
                raise ConfigError(
                    f"no active principle {id!r}", where=f"{scorer}={id}", fix=did_you_mean(id, known)
                )

    def judgement(self, one: Judgement, where: str) -> Judgement:
        """``one`` under the principle its scorer speaks for.

        Raises:
            DataError: its value is neither pass nor fail and there is no pass mark.
        """
        id = self.principles.get(one.judge)
        if id is None or one.principle:
            return one
        principle = self.constitution.principle(id)
        value = one.value
        if value is not None and self.pass_at is not None:
            value = float(value >= self.pass_at)
        if value not in (None, 0.0, 1.0):
            raise DataError(
                f"the score {value:g} of {one.judge!r} is neither pass (1) nor fail (0)",
                where=where,
                fix="give the lowest score that passes (--pass-at)",
            )
        return replace(one, value=value, principle=id, principle_sha=principle.sha, weight=principle.weight)


@dataclass
class _Notes:
    left_out: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)


def read_log(path: str | Path, judged: Judged | None = None) -> Reading:
    """Read a ``.eval`` or ``.json`` log, whoever wrote it.

    A sample with an error, or without an answer, is left out and counted; one that a limit cut short is
    kept, and its group's meta says so. The epochs of a sample are the samples of a group.

    Args:
        path: the log.
        judged: which scorers speak for which principles; None = judgements carry no principle, but for
            those that Charter wrote.

    Raises:
        UserError: no such file, not a log, or a scorer that is not in it.
        DataError: see :meth:`Judged.judgement`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("no such file", where=str(path), fix="name a log that Inspect wrote")
    header = _read(path)
    notes = _Notes()
    told = _about(header, path)
    if header.status != "success":
        notes.read[f"the log is not complete: {header.status}"] += 1
    if judged is not None:
        _check_scorers(judged, header, path)
    by_id: dict[str, list[EvalSample]] = {}
    for sample in _each(path, header, notes):
        by_id.setdefault(str(sample.id), []).append(sample)
    groups = []
    for id, epochs in by_id.items():
        group = _group(id, sorted(epochs, key=lambda one: one.epoch), header, path, notes)
        if group is not None:
            said = [_mapped(one, judged, group.source) for one in group.judgements]
            groups.append(replace(group, judgements=tuple(said)))
    return Reading(tuple(groups), dict(notes.left_out), dict(+notes.read), told)


def _read(path: Path) -> EvalLog:
    try:
        return read_eval_log(str(path.absolute()), header_only=True)
    except Exception as error:  # of many libraries: zip, json, pydantic
        raise UserError(
            f"not a log that this version of Inspect reads ({type(error).__name__}: {error})", where=str(path)
        ) from None


def _each(path: Path, header: EvalLog, notes: _Notes) -> Iterator[EvalSample]:
    """The samples one at a time: a log may be larger than the memory."""
    where = str(path.absolute())
    ids = {str(id): place for place, id in enumerate(header.eval.dataset.sample_ids or ())}
    # As the task had them, not as they came to an end.
    summaries = sorted(
        read_eval_log_sample_summaries(where), key=lambda one: (ids.get(str(one.id), len(ids)), one.epoch)
    )
    expected = (header.eval.dataset.samples or 0) * (header.eval.config.epochs or 1)
    if header.status != "success" and expected > len(summaries):
        notes.left_out["samples that were never finished"] += expected - len(summaries)
    with progress(f"reading {path.name}", len(summaries)) as advance:
        for one in summaries:
            advance(1)
            try:
                yield read_eval_log_sample(
                    where, id=one.id, epoch=one.epoch, resolve_attachments=True, exclude_fields={"store"}
                )
            except Exception as error:
                notes.left_out[f"samples that cannot be read ({type(error).__name__})"] += 1


def _about(header: EvalLog, path: Path) -> dict[str, Any]:
    metadata = header.eval.metadata or {}
    return {
        "path": str(path),
        "status": header.status,
        "task": header.eval.task,
        "model": header.eval.model,
        "created": str(header.eval.created),
        "scorers": scorers_of(header),
        "constitution": metadata.get("constitution"),
    }


def scorers_of(header: EvalLog) -> list[str]:
    """Names that judgements of this log carry as their judge."""
    if header.results is None:
        return [one.name for one in header.eval.scorers or ()]
    return list(
        dict.fromkeys(
            one.name if one.name == one.scorer else f"{one.scorer}/{one.name}"
            for one in header.results.scores
        )
    )


def _check_scorers(judged: Judged, header: EvalLog, path: Path) -> None:
    known = scorers_of(header)
    for scorer in judged.principles:
        if known and scorer not in known:
            raise UserError(
                f"no scorer {scorer!r} in the log", where=str(path), fix=did_you_mean(scorer, known)
            )


# -- one group ----------------------------------------------------------------


def _group(id: str, epochs: list[EvalSample], header: EvalLog, path: Path, notes: _Notes) -> Group | None:
    samples: list[Sample] = []
    said: list[Judgement] = []
    meta: dict[str, Any] = {}
    kept, limits = [], {}
    ours: Mapping[str, Any] = {}
    for one in epochs:
        ours = ours or _ours(one)
        found = _sample(one, header, notes)
        if found is None:
            continue
        number = len(samples)
        samples.append(found)
        kept.append(one.epoch)
        if one.limit is not None:
            notes.read[f"samples cut short by a limit ({one.limit.type})"] += 1
            limits[str(number)] = one.limit.type
        if not one.scores:
            notes.read["samples without a score"] += 1
        for name, score in (one.scores or {}).items():
            said += judgements_of(name, score, number, notes.read)
        further = max(len(one.output.choices) - 1, 0)
        if further:
            notes.left_out["further choices of a sample, which no scorer read"] += further
    if not samples:
        return None
    if "source" in ours:
        if len(kept) == len(epochs):
            said += [judgement_from_json(row) for row in ours.get("judgements") or ()]
        return Group(tuple(samples), tuple(said), id, ours["source"], dict(ours["meta"]), ours["part"])
    meta = {key: value for key, value in epochs[0].metadata.items() if key != OURS}
    meta["inspect"] = {
        "task": header.eval.task,
        "target": epochs[0].target,
        "epochs": kept,
        **({"limits": limits} if limits else {}),
    }
    return Group(tuple(samples), tuple(said), id, f"{path}:{id}", meta)


def _sample(one: EvalSample, header: EvalLog, notes: _Notes) -> Sample | None:
    if one.invalidation is not None:
        notes.left_out["samples that were declared invalid"] += 1
        return None
    if one.error is not None:
        notes.left_out["samples that ended in an error"] += 1
        return None
    ours = _ours(one)
    found = sample_of(
        one.input,
        one.messages,
        one.output,
        sampled_by=str(ours.get("sampled_by") or one.output.model or header.eval.model),
        weight_version=_version(one, ours),
        notes=notes.read,
    )
    if found is None:
        why = f"samples without an answer{f' (limit: {one.limit.type})' if one.limit else ''}"
        notes.left_out[why] += 1
        return None
    return _restored(found, ours) if "finish_reason" in ours else found


def _ours(one: EvalSample) -> Mapping[str, Any]:
    found = one.metadata.get(OURS)
    return found if isinstance(found, Mapping) else {}


def _version(one: EvalSample, ours: Mapping[str, Any]) -> int:
    found = ours.get("weight_version", (one.output.metadata or {}).get("weight_version", 0))
    return found if isinstance(found, int) else 0


def _restored(sample: Sample, ours: Mapping[str, Any]) -> Sample:
    """What Charter wrote, as it was: plain text is no conversation, and a given answer was not sampled."""
    plain_context, plain_completion = ours["plain"]
    context, completion = sample.context, sample.completion
    if plain_context:
        context = replace(context, content=context.text)
    content = completion.text if plain_completion else completion.content
    completion = replace(completion, content=content, finish_reason=ours["finish_reason"])
    return replace(sample, context=context, completion=completion, role=ours["role"])


def _mapped(one: Judgement, judged: Judged | None, where: str) -> Judgement:
    return one if judged is None else judged.judgement(one, where)


# -- as labels ----------------------------------------------------------------


def label_rows(groups: tuple[Group, ...]) -> list[dict[str, Any]]:
    """Judgements under a principle as the rows that ``charter judge-card --labels`` reads."""
    rows = []
    for group in groups:
        for one in group.judgements:
            if not one.principle or one.value not in (0.0, 1.0) or not isinstance(one.target, SampleTarget):
                continue
            sample = group.samples[one.target.sample]
            content = sample.context.content
            rows.append(
                {
                    "principle": one.principle,
                    "prompt": content if isinstance(content, str) else [_turn(turn) for turn in content],
                    "completion": sample.completion.text,
                    "label": bool(one.value),
                    "rater": one.judge,
                    "model": sample.completion.sampled_by,
                }
            )
    return rows


def _turn(turn: Message) -> dict[str, str]:
    return {"role": turn.role, "content": turn.content}
