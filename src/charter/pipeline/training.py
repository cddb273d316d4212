"""One training run from a data file: what the train stage, the Python API and the CLI share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from charter.catalogue import Entry, TrainOptions, lookup
from charter.catalogue.distillation import DistillationOptions, OnPolicyDistillationOptions
from charter.catalogue.options import MovingReference
from charter.catalogue.other_reference import StepwiseOptions
from charter.catalogue.rollouts import RolloutOptions
from charter.data.prepare import Prepared
from charter.data.teacher_context import resolved
from charter.errors import ConfigError
from charter.evaluation.health.kl_stop import KLStop
from charter.feedback.trained.reward import measure_scale
from charter.models.policy import Policy
from charter.models.reward_scale import RewardScale
from charter.models.trained_as import after_training
from charter.objectives.base import Need
from charter.pipeline.on_policy import answered_once, own_answers
from charter.pipeline.online import online_hooks, online_run
from charter.pipeline.rewarded_prompts import Functions, rewards_identity
from charter.pipeline.stepwise import train_in_stages
from charter.pipeline.training_data import arranged, load_data, rendered
from charter.progress import say
from charter.rundir import sha256_file, sha256_json
from charter.training.batch import Columns
from charter.training.hooks import Hook
from charter.training.loop import Loop, Resume
from charter.training.online import OnlineRun
from charter.training.own_answers import OwnAnswers
from charter.training.references import ReferencePlan
from charter.training.step import WeightedTerm
from charter.training.teacher import Teacher, teacher_of
from charter.training.terms import terms_of
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
        base: what files that options name are relative to.
        functions: reward functions in memory, by the names ``reward_funcs`` has for them.
        hooks: further ones, such as a measurement of one's own.
    """

    algorithm: str
    options: TrainOptions
    data: Any
    sampled: bool = False
    eval_data: Any = None
    objective: str | None = None
    objective_options: Mapping[str, Any] = field(default_factory=dict)
    resume: Resume = "auto"
    base: Path = Path()
    functions: Functions = field(default_factory=dict)
    hooks: Sequence[Hook] = ()


def train(request: TrainRequest, policy: Policy, directory: Path) -> dict[str, Any]:
    """Prepare the data, train, and say what happened.

    Returns:
        steps, what stopped training, data counts and the KL history.
    """
    entry = lookup(request.algorithm)
    if isinstance(request.options, DistillationOptions):
        request = replace(request, options=resolved(request.options))
    terms = _terms(entry, request)
    loaded = load_data(request.data, entry, request.options, request.base, sampled=request.sampled)
    prepared = rendered(loaded, policy, request.options)
    for line in prepared.report.lines():
        say(f"data: {line}")
    held_out: Sequence[Group] = ()
    if request.eval_data is not None:
        held_out = _held_out(entry, request, policy)
    directory.mkdir(parents=True, exist_ok=True)
    own = _own_answers(entry, request, prepared.groups, policy)
    groups = prepared.groups if own else arranged(prepared.groups, entry, request.options, policy)
    if entry.rollouts is None and own is None:
        _say_trained(groups, prepared.report.trained_tokens)
    fingerprint = _fingerprint(request, policy)
    # After the fingerprint, and before anything is saved: a checkpoint says from the first how it is asked.
    reasons = any(group.meta.get("reasons") for group in loaded.groups)
    policy.trained_as = after_training(entry, request.options, reasons=reasons, before=policy.trained_as)

    online = _online(entry, request, groups, policy)

    def make_loop(groups: Sequence[Group], directory: Path, stage: str) -> Loop:
        hooks: list[Hook] = []
        if online is not None:
            hooks += online_hooks(online, held_out, policy)
        if request.options.max_kl is not None:
            hooks.append(_kl_stop(policy, prepared, request.options))
        hooks += request.hooks
        return Loop(
            policy,
            terms,
            request.options,
            groups,
            directory,
            data_fingerprint=sha256_json([fingerprint, stage]) if stage else fingerprint,
            eval_groups=held_out if online is None else (),
            online=own if online is None else online,
            hooks=hooks,
            reference=_reference_plan(entry, request.options),
            teacher=_teacher(policy, request.options),
            dimensions=_dimensions(terms, groups) if entry.trains == "reward" else None,
        )

    try:
        if isinstance(request.options, StepwiseOptions):
            result = train_in_stages(policy, groups, request.options, directory, make_loop, request.resume)
        else:
            result = make_loop(groups, directory, "").run(request.resume)
    finally:
        if online is not None:
            online.close()
    if entry.trains == "reward" and any(Need.REWARD in term.objective.needs for term in terms):
        _normalise(policy, directory / "model", groups, held_out, request.options)
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
        **({} if online is None else {"watched_rewards": _watched(online)}),
        "line": f"{result.steps} of {result.planned} steps, stopped by: {result.stopped_by}",
    }


def _held_out(entry: Entry, request: TrainRequest, policy: Policy) -> Sequence[Group]:
    """What ``eval_steps`` measures on; prompts, where the algorithm is rewarded for what it samples."""
    loaded, options = load_data(request.eval_data, entry, request.options, request.base), request.options
    if isinstance(options, OnPolicyDistillationOptions):
        return answered_once(loaded, entry, options, policy)
    return arranged(rendered(loaded, policy, options).groups, entry, options, policy)


def _watched(online: OnlineRun) -> list[str]:
    """Names of the rewards that are not trained on: of weight 0, and read by no other reward."""
    read = {name for one in getattr(online.rewards, "rewards", ()) for name in one.reads}
    weights = zip(online.rewards.names, online.rewards.weights, strict=True)
    return [name for name, weight in weights if weight == 0 and name not in read]


def _own_answers(
    entry: Entry, request: TrainRequest, prompts: Sequence[Group], policy: Policy
) -> OwnAnswers | None:
    """The policy's answers, where a teacher corrects those."""
    if not isinstance(request.options, OnPolicyDistillationOptions):
        return None
    return own_answers(entry, request.options, prompts, policy)


def _online(
    entry: Entry, request: TrainRequest, prompts: Sequence[Group], policy: Policy
) -> OnlineRun | None:
    """The rollouts, where the algorithm trains on its own samples."""
    if entry.rollouts is None:
        return None
    assert isinstance(request.options, RolloutOptions)
    return online_run(entry, request.options, prompts, policy, request.base, request.functions)


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


def _teacher(policy: Policy, options: TrainOptions) -> Teacher | None:
    return teacher_of(policy, options) if isinstance(options, DistillationOptions) else None


def _say_trained(groups: Sequence[Group], before: int) -> None:
    """How many tokens are trained, where that is not what the report said."""
    trained = sum(sum(s.completion.trained) for g in groups for s in g.samples if s.role == "policy")
    if trained != before:
        say(f"data: {trained} tokens are trained")


def _dimensions(terms: Sequence[WeightedTerm], groups: Sequence[Group]) -> int:
    """How many outputs the reward head has: one for each dimension the data speaks of."""
    needs = {need for term in terms for need in term.objective.needs}
    return len(Columns.of(groups, needs).dimensions)


def _normalise(
    policy: Policy, model: Path, groups: Sequence[Group], held_out: Sequence[Group], options: TrainOptions
) -> None:
    """Measure the mean and deviation of the trained model's rewards, and keep them beside it.

    Those of a process reward model are log-odds of each step, which need no scale.
    """
    if policy.trained_as is not None and policy.trained_as.kind == "process":
        return
    scale = RewardScale.load(model)
    if scale is None or not scale.samples:  # else the run had finished before
        data = "evaluation data" if held_out else "training data"
        tokens = options.tokens_per_microbatch
        scale = measure_scale(policy, held_out or groups, data, seed=options.seed, tokens=tokens)
        scale.save(model)
        parts = zip(scale.names, scale.mean, scale.std, strict=True)
        words = ", ".join(f"{name} {mean:.3g} ± {std:.3g}" for name, mean, std in parts)
        say(f"rewards are normalised on {scale.samples} answers of the {data}: {words}")
    policy.reward_scale = scale


def _reference_plan(entry: Entry, options: TrainOptions) -> ReferencePlan:
    if entry.reference == "behaviour":
        return ReferencePlan("behaviour")
    if isinstance(options, MovingReference) and options.sync_ref_model:
        return ReferencePlan("moving", options.ref_model_mixup_alpha, options.ref_model_sync_steps)
    return ReferencePlan()


def _fingerprint(request: TrainRequest, policy: Policy) -> str:
    """Identity of the data as trained on: bytes or rows, the template that renders them, the rewards."""
    data = request.data
    path = Path(data) if isinstance(data, (str, Path)) else None
    if path is not None and path.is_file():
        identity = sha256_file(path)
    elif path is not None or data is None:
        identity = str(data)
    else:
        identity = sha256_json([dict(row) for row in data])
    parts: list[Any] = [identity, policy.template.fingerprint, request.objective]
    parts.append(dict(request.objective_options))
    if isinstance(request.options, RolloutOptions):
        parts.append(rewards_identity(request.options, request.base, request.functions))
    return sha256_json(parts)


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
