"""A loaded checkpoint as the judge it was trained to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from charter.config import Config
from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.errors import ConfigError
from charter.feedback.trained.checkpoints import Named, named
from charter.feedback.trained.options import (
    EnsembleOptions,
    OutcomeOptions,
    PairwiseOptions,
    ProcessOptions,
    ReasonedVerdictOptions,
    WrittenOptions,
    options_of,
)
from charter.feedback.trained.process import ProcessJudge
from charter.feedback.trained.ranker import PairwiseRanker
from charter.feedback.trained.reward import RewardFeedback
from charter.feedback.trained.verifier import CritiqueScorer, Verifier
from charter.models.ensemble import PPO_COEF
from charter.models.policy import Policy
from charter.models.trained_as import TrainedAs

TrainedJudge = RewardFeedback | CritiqueScorer | ProcessJudge | Verifier | PairwiseRanker
"""What a checkpoint judges as; each has ``judge(groups)``."""

Load = Callable[[str], Policy]


def trained_judge(
    model: Policy | str | Path, *, load_model: Load | None = None, **options: Any
) -> TrainedJudge:
    """The judge that a checkpoint was trained to be, in one call.

    Args:
        model: a checkpoint, or one that is loaded already; ``ensemble:A+B`` = several reward models.
        load_model: loads it; None = :func:`charter.models.load.load`.
        options: of its kind, see :mod:`charter.feedback.trained.options`; ``weights`` may be a mapping.

    Raises:
        ConfigError: it judges nothing, or an option it does not have.
        UserError: a damaged checkpoint.
    """
    if isinstance(model, Policy):
        checked = options_of(model.trained_as, 1, options, model.name)
        return judge_of([model], checked)
    return opened(named(str(model), options, Path()), load_model)


def opened(asked: Named, load_model: Load | None = None) -> TrainedJudge:
    """Load what :func:`charter.feedback.trained.checkpoints.named` found.

    Raises:
        ConfigError: the checkpoint was not here before, and judges in another way than its options are for.
    """
    from charter.models.load import load

    policies = [(load_model or load)(name) for name in asked.models]
    if policies[0].trained_as != asked.trained:
        given = asked.options.model_dump(mode="json", exclude_unset=True)
        return judge_of(policies, options_of(policies[0].trained_as, len(policies), given, asked.where))
    return judge_of(policies, asked.options)


def judge_of(policies: Sequence[Policy], options: Config) -> TrainedJudge:
    """The judge that loaded checkpoints make, with options of their kind.

    Raises:
        ConfigError: checkpoints that do not go together.
    """
    first = policies[0]
    trained = first.trained_as
    kind = "outcome" if trained is None else trained.kind
    name = first.name if trained is None else f"{trained.algorithm}:{first.name}"
    if len(policies) > 1 or kind == "outcome":
        assert isinstance(options, OutcomeOptions)
        return _outcome(policies, options, first.name if len(policies) == 1 else "ensemble")
    assert trained is not None
    if kind == "process":
        assert isinstance(options, ProcessOptions)
        separator = trained.asked["step_separator"]
        return ProcessJudge(first, step_separator=separator, solution=options.solution, name=name)
    if kind == "critique":
        assert isinstance(options, WrittenOptions)
        return CritiqueScorer(
            first,
            _engine(first),
            options.critiques,
            trained.asked["question"],
            _sampling(options),
            name=name,
        )
    return _by_words(first, trained, options, name)


def template_of(judge: TrainedJudge) -> Template:
    """Renders for the judge's model."""
    return judge.policies[0].template if isinstance(judge, RewardFeedback) else judge.policy.template


def _outcome(policies: Sequence[Policy], options: OutcomeOptions, name: str) -> RewardFeedback:
    if not isinstance(options, EnsembleOptions):
        return RewardFeedback(policies, weights=options.weights, name=name)
    coef = PPO_COEF if options.coef is None else options.coef
    return RewardFeedback(policies, combine=options.combine, coef=coef, weights=options.weights, name=name)


def _by_words(policy: Policy, trained: TrainedAs, options: Config, name: str) -> Verifier | PairwiseRanker:
    """A judge whose verdict is a word, after reasons where it was trained on some."""
    engine = _engine(policy) if trained.reasons else None
    written = options if isinstance(options, WrittenOptions) else WrittenOptions()
    count = written.critiques if trained.reasons else 1
    sampling = _sampling(written)
    if trained.kind == "verdict":
        majority = isinstance(options, ReasonedVerdictOptions) and options.majority
        return Verifier(policy, trained.question, engine, count, majority, sampling, name=name)
    if not isinstance(options, PairwiseOptions):
        raise ConfigError(f"{policy.name} compares two answers, and these are no options of that")
    return PairwiseRanker(
        policy, trained.question, options.pairs, engine=engine, critiques=count, sampling=sampling, name=name
    )


def _engine(policy: Policy) -> LocalEngine:
    return LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)


def _sampling(options: WrittenOptions) -> Sampling:
    return Sampling(
        temperature=options.temperature,
        max_completion_length=options.max_completion_length,
        seed=options.seed,
    )
