"""One training run from a data file: what the train stage, the Python API and the CLI share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter.catalogue import Entry, TrainOptions, lookup
from charter.catalogue.options import MovingReference
from charter.data.formats import Kind, LoadedData, load_groups
from charter.data.prepare import Prepared, prepare
from charter.errors import ConfigError
from charter.evaluation.kl_stop import KLStop
from charter.models.policy import Policy
from charter.progress import say
from charter.records import read_groups
from charter.rundir import read_jsonl, sha256_file, sha256_json
from charter.training.batch import Columns
from charter.training.hooks import Hook
from charter.training.loop import Loop, Resume
from charter.training.references import ReferencePlan
from charter.training.step import WeightedTerm
from charter.training.terms import by_name, terms_of
from charter.types import Group


@dataclass(frozen=True)
class TrainRequest:
    """What to train on, and how.

    Attributes:
        algorithm: name in the catalogue.
        options: its options.
        data: a data file or hub id, rows in memory, or groups the pipeline sampled.
        sampled: ``data`` is a file of sampled groups, with token ids.
        eval_data: rows for ``eval_steps``.
        objective: ``mine.py:MyLoss`` in place of the algorithm's loss.
        objective_options: its options.
        resume: ``auto`` continues an interrupted run in the same directory.
    """

    algorithm: str
    options: TrainOptions
    data: Any
    sampled: bool = False
    eval_data: Any = None
    objective: str | None = None
    objective_options: Mapping[str, Any] = field(default_factory=dict)
    resume: Resume = "auto"


def train(request: TrainRequest, policy: Policy, directory: Path) -> dict[str, Any]:
    """Prepare the data, train, and say what happened.

    Returns:
        steps, what stopped training, data counts and the KL history.
    """
    entry = lookup(request.algorithm)
    terms = _terms(entry, request)
    prepared = _prepare(_load(request.data, request.sampled, entry, request.options), policy, request.options)
    for line in prepared.report.lines():
        say(f"data: {line}")
    held_out: Sequence[Group] = ()
    if request.eval_data is not None:
        loaded = _load(request.eval_data, False, entry, request.options)
        held_out = _arranged(_prepare(loaded, policy, request.options).groups, entry, request.options)
    directory.mkdir(parents=True, exist_ok=True)
    hooks: list[Hook] = []
    if request.options.max_kl is not None:
        hooks.append(_kl_stop(policy, prepared, request.options))
    groups = _arranged(prepared.groups, entry, request.options)
    loop = Loop(
        policy,
        terms,
        request.options,
        groups,
        directory,
        data_fingerprint=_fingerprint(request, policy),
        eval_groups=held_out,
        hooks=hooks,
        reference=_reference_plan(entry, request.options),
        dimensions=_dimensions(terms, groups) if entry.trains == "reward" else None,
    )
    result = loop.run(request.resume)
    report = prepared.report
    return {
        "algorithm": request.algorithm
        if request.objective is None
        else f"{request.algorithm} ({request.objective})",
        "steps": result.steps,
        "planned": result.planned,
        "stopped_by": result.stopped_by,
        "train_seconds": round(result.seconds, 1),
        "rows": {"kept": report.kept, "of": report.groups, "dropped": dict(report.dropped)},
        "last": dict(result.last),
        "options": request.options.model_dump(mode="json"),
        "line": f"{result.steps} of {result.planned} steps, stopped by: {result.stopped_by}",
    }


def curves(path: Path) -> dict[str, Any]:
    """Training curves of a metrics.jsonl, as the report draws them."""
    rows = read_jsonl(path)
    names = ("loss", "rewards/margins", "rewards/accuracies", "learning_rate")
    found: dict[str, Any] = {"step": [row["step"] for row in rows]}
    found |= {name: [row.get(name) for row in rows] for name in names if any(name in row for row in rows)}
    found["kl"] = [[row["step"], row["kl"]] for row in rows if "kl" in row]
    return found


def _terms(entry: Entry, request: TrainRequest) -> tuple[WeightedTerm, ...]:
    if request.objective is None:
        return terms_of(entry, request.options)
    from charter.objectives.custom import load_objective

    own = load_objective(request.objective).bind(request.objective_options)
    if own.data != entry.data:
        raise ConfigError(
            f"objective {own.name!r} is for {own.data} data, {entry.name} reads {entry.data} data",
            where=request.objective,
        )
    return (WeightedTerm(own),)


def _load(data: Any, sampled: bool, entry: Entry, options: TrainOptions) -> LoadedData:
    if sampled:
        groups = read_groups(Path(data))
        kind: Kind = "preference" if entry.data == "preference" else "completion"
        loaded = LoadedData(tuple(groups), {}, kind, str(data))
    else:
        loaded = load_groups(data, entry.data)
    if not entry.rows:
        return loaded
    changed: LoadedData = by_name(entry.rows)(loaded, options)
    return changed


def _arranged(groups: Sequence[Group], entry: Entry, options: TrainOptions) -> Sequence[Group]:
    """What the entry trains on, made of the rendered groups."""
    if not entry.arrange:
        return groups
    arranged: Sequence[Group] = by_name(entry.arrange)(groups, options)
    return arranged


def _dimensions(terms: Sequence[WeightedTerm], groups: Sequence[Group]) -> int:
    """How many outputs the reward head has: one for each dimension the data speaks of."""
    needs = {need for term in terms for need in term.objective.needs}
    return len(Columns.of(groups, needs).dimensions)


def _reference_plan(entry: Entry, options: TrainOptions) -> ReferencePlan:
    if entry.reference == "behaviour":
        return ReferencePlan("behaviour")
    if isinstance(options, MovingReference) and options.sync_ref_model:
        return ReferencePlan("moving", options.ref_model_mixup_alpha, options.ref_model_sync_steps)
    return ReferencePlan()


def _prepare(loaded: LoadedData, policy: Policy, options: TrainOptions) -> Prepared:
    return prepare(
        loaded,
        policy.template,
        options.max_length,
        max_prompt_length=options.max_prompt_length,
        truncation_mode=options.truncation_mode,
    )


def _fingerprint(request: TrainRequest, policy: Policy) -> str:
    """Identity of the data as trained on: bytes or rows, and the template that renders them."""
    data = request.data
    path = Path(data) if isinstance(data, (str, Path)) else None
    if path is not None and path.is_file():
        identity = sha256_file(path)
    elif path is not None:
        identity = str(data)
    else:
        identity = sha256_json([dict(row) for row in data])
    return sha256_json(
        [identity, policy.template.fingerprint, request.objective, dict(request.objective_options)]
    )


def _kl_stop(policy: Policy, prepared: Prepared, options: TrainOptions) -> KLStop:
    assert options.max_kl is not None
    contexts = [g.samples[0].context for g in prepared.groups if g.samples[0].context.token_ids]
    if not contexts:
        raise ConfigError("max_kl needs prompts to answer, and the data has none", where="max_kl")
    return KLStop(
        policy,
        contexts,
        max_kl=options.max_kl,
        every=options.kl_steps,
        with_adapter=options.use_peft,
        seed=options.seed,
    )
