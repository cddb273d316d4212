"""Charter's results as a log that Inspect's viewer and tools read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter import __version__
from charter.errors import EnvironmentFault, UserError
from charter.evaluation.inspect import library
from charter.evaluation.inspect.library import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalPlan,
    EvalPlanStep,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
    ModelOutput,
    ModelUsage,
    Score,
    write_eval_log,
)
from charter.evaluation.inspect.messages import to_inspect
from charter.evaluation.inspect.results import Results
from charter.evaluation.inspect.score_values import OURS, score_of
from charter.records import judgement_to_json
from charter.rundir import now, sha256_json
from charter.types import Group, Judgement, Sample, SampleTarget

TASK = "charter/adherence"
SOLVER = "charter/answer"
ALL = "all principles"
SUFFIXES = (".eval", ".json")

_STOP = {"stop": "stop", "length": "max_tokens", "given": "unknown"}


@dataclass(frozen=True)
class Written:
    """A log file.

    Attributes:
        path: where it is.
        samples: answers in it.
        counts: what else: scores, and what Inspect's format has no place for.
    """

    path: Path
    samples: int
    counts: Mapping[str, int]


def write_log(results: Results, path: str | Path, *, force: bool = False) -> Written:
    """Write an evaluation as ``.eval`` (or ``.json``).

    Raises:
        UserError: the file exists, or its name says another format.
        EnvironmentFault: it cannot be written.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise UserError("a log's name ends with .eval or .json", where=str(path), fix="name it FILE.eval")
    if path.exists() and not force:
        raise UserError("the file exists already", where=str(path), fix="choose another name, or --force")
    log, counts = log_of(results)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, str(path.absolute()))
    except OSError as error:
        raise EnvironmentFault(f"cannot be written: {error.strerror or error}", where=str(path)) from None
    return Written(path, len(log.samples or ()), dict(counts))


def log_of(results: Results) -> tuple[EvalLog, Counter[str]]:
    """An evaluation as Inspect's log, and counts of what is in it and of what it has no place for.

    Each answer is a sample, the n-th answer to a prompt its n-th epoch. Each judgement on it is a score
    under its principle's id; judgements about pairs and segments are in the metadata of the group's first
    sample. Rates with their intervals are metrics.

    Raises:
        UserError: there are no answers, or two groups have one id.
    """
    counts: Counter[str] = Counter()
    ids = [group.id for group in results.groups]
    if not any(group.samples for group in results.groups):
        raise UserError("there are no answers to write", where=results.model)
    if twice := [id for id, number in Counter(ids).items() if number > 1 or not id]:
        raise UserError(f"group ids must be unique and not empty: {twice[0]!r}", where=results.model)
    samples = [one for group in results.groups for one in _samples(group, results.model, counts)]
    epochs = max(len(group.samples) for group in results.groups)
    created = results.created or now()
    identity = sha256_json([results.constitution, results.model, results.side, ids])
    scores = _scores(results, samples)
    spec = EvalSpec(
        created=created,
        eval_id=identity[:22],
        run_id=identity[22:44],
        task=TASK,
        task_id=identity[:22],
        task_version=results.constitution.get("version") or 0,
        task_display_name=f"adherence to {results.constitution.get('name') or 'a constitution'}",
        dataset=EvalDataset(
            name=results.constitution.get("name"), samples=len(ids), sample_ids=ids, shuffled=False
        ),
        model=results.model,
        config=EvalConfig(epochs=epochs),
        packages={"charter": __version__, "inspect_ai": library.__version__},
        metadata={
            "constitution": dict(results.constitution),
            OURS: {
                "side": results.side,
                "adherence": dict(results.adherence),
                "health": [dict(row) for row in results.health],
                "flags": list(results.flags),
            },
        },
    )
    found = EvalResults(
        total_samples=len(samples),
        completed_samples=len(samples),
        scores=scores,
        metadata={
            "verdict": results.adherence.get("verdict"),
            "gates": results.adherence.get("gates"),
            "levels": results.adherence.get("levels"),
        },
    )
    log = EvalLog(
        status="success",
        eval=spec,
        plan=EvalPlan(steps=[EvalPlanStep(solver=SOLVER)]),
        results=found,
        stats=EvalStats(started_at=created, completed_at=created),
        samples=samples,
    )
    return log, counts


# -- samples ------------------------------------------------------------------


def _samples(group: Group, model: str, counts: Counter[str]) -> Iterator[EvalSample]:
    by_sample: dict[int, list[Judgement]] = {}
    elsewhere = []
    for one in group.judgements:
        if isinstance(one.target, SampleTarget):
            by_sample.setdefault(one.target.sample, []).append(one)
        else:
            elsewhere.append(judgement_to_json(one))
    if elsewhere:
        counts["judgements about pairs or segments, kept as metadata"] += len(elsewhere)
    for number, sample in enumerate(group.samples):
        if sample.completion.token_ids:
            counts["answers whose token ids and log-probs are not carried over"] += 1
        ours: dict[str, Any] = {
            "sampled_by": sample.completion.sampled_by,
            "weight_version": sample.completion.weight_version,
            "finish_reason": sample.completion.finish_reason,
            "role": sample.role,
            "plain": [isinstance(sample.context.content, str), isinstance(sample.completion.content, str)],
        }
        if number == 0:
            ours |= {
                "source": group.source,
                "part": group.part,
                "meta": dict(group.meta),
                "judgements": elsewhere,
            }
        scores = dict(_scored(by_sample.get(number, ()), sample.completion.text))
        counts["scores"] += len(scores)
        yield _sample(group, number, sample, model, scores, ours)


def _sample(
    group: Group, number: int, sample: Sample, model: str, scores: dict[str, Score], ours: dict[str, Any]
) -> EvalSample:
    completion = sample.completion
    asked = to_inspect(sample.context.content)
    answered = to_inspect(completion.content, generated=completion.sampled_by or model)
    read, written = len(sample.context.token_ids), len(completion.token_ids)
    usage = ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)
    last = ChatMessageAssistant(content=completion.text, source="generate", model=model)
    content = sample.context.content
    return EvalSample(
        id=group.id,
        epoch=number + 1,
        input=content if isinstance(content, str) else asked,
        target="",
        messages=[*asked, *answered],
        output=ModelOutput(
            model=model,
            choices=[ChatCompletionChoice(message=last, stop_reason=_STOP[completion.finish_reason])],
            usage=usage if written else None,
        ),
        scores=scores,
        metadata={
            **{key: value for key, value in group.meta.items() if key != OURS},
            OURS: ours,
        },
        model_usage={model: usage} if written else {},
    )


def _scored(judgements: Sequence[Judgement], answer: str) -> Iterator[tuple[str, Score]]:
    """A name for each judgement: its principle's id; where several judges spoke, also who."""
    names = Counter(one.principle or one.judge for one in judgements)
    given: Counter[str] = Counter()
    for one in judgements:
        name = one.principle or one.judge
        if names[name] > 1 and one.principle:
            name = f"{name} ({one.judge})"
        given[name] += 1
        yield (name if given[name] == 1 else f"{name} {given[name]}"), score_of([one], answer=answer)


# -- results ------------------------------------------------------------------


def _scores(results: Results, samples: Sequence[EvalSample]) -> list[EvalScore]:
    rows = {row["principle"]: row for row in results.adherence.get("principles") or ()}
    told: dict[str, list[Score]] = {}
    for sample in samples:
        for name, score in (sample.scores or {}).items():
            told.setdefault(name, []).append(score)
    found = [_overall(results)] if rows else []
    for name, scores in told.items():
        spoken = sum(not math.isnan(score.as_float()) for score in scores)
        row = rows.get(name, {})
        found.append(
            EvalScore(
                name=name,
                scorer=name,
                scored_samples=spoken,
                unscored_samples=len(scores) - spoken,
                metrics=_metrics(row, results.side),
                metadata=dict(row) or None,
            )
        )
    return found


def _overall(results: Results) -> EvalScore:
    row = results.adherence["overall"]
    return EvalScore(name=ALL, scorer=ALL, metrics=_metrics(row, results.side), metadata=dict(row))


def _metrics(row: Mapping[str, Any], side: str) -> dict[str, EvalMetric]:
    """The rate, the rate corrected for the judge's errors, and the change, each with its interval."""
    which = "after" if side == "aligned" else "before"
    corrected = (row.get("corrected") or {}).get(which) or {}
    change = row.get("change") if side == "aligned" else None
    wanted = (
        ("adherence", row.get(which), "rate"),
        ("corrected", corrected, "estimate"),
        ("change", change, "diff"),
    )
    return {
        name: EvalMetric(
            name=name,
            value=part[key],
            metadata={other: value for other, value in part.items() if other != key and value is not None},
        )
        for name, part, key in wanted
        if part and part.get(key) is not None
    }
