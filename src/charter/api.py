"""The Python API. The command line is a thin skin over these functions."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from charter.catalogue import TrainOptions, lookup
from charter.catalogue.rollouts import RolloutOptions
from charter.constitution import Constitution
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.errors import ConfigError, UserError
from charter.evaluation.evaluate import Evaluation, judged
from charter.evaluation.winrate import WinRates, win_rates
from charter.feedback.judging.open_judge import open_judge
from charter.feedback.rewards.trained import said_by
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.feedback.trained.checkpoints import named
from charter.models.load import load as _load
from charter.models.policy import Policy
from charter.pipeline.evaluate_options import EvaluateOptions
from charter.pipeline.given_prompts import Prompts as Prompts
from charter.pipeline.given_prompts import read_prompts as read_prompts
from charter.pipeline.measuring import measure, ready_for
from charter.pipeline.recipe import Recipe, train_options
from charter.pipeline.rewarded_prompts import Functions, check_prompts, named_functions, rewards_of
from charter.pipeline.runner import run_recipe
from charter.pipeline.training import TrainRequest
from charter.pipeline.training import train as _train
from charter.pipeline.training_data import load_data
from charter.progress import progress
from charter.rundir import RunDir
from charter.training.loop import Resume
from charter.types import Group


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes:
        path: the run directory; ``path / "model"`` loads with transformers and peft.
        policy: the trained policy.
        result: steps, what stopped training, data counts.
    """

    path: Path
    policy: Policy
    result: Mapping[str, Any]


def load(
    name: str = "smollm2-135m",
    *,
    bf16: bool = True,
    device: str | None = None,
    load_in_4bit: bool = False,
) -> Policy:
    """Load a policy: a known name, a hub id, a checkpoint or adapter folder, or a run directory.

    Args:
        name: which.
        bf16: compute in bfloat16; off = float32.
        device: where it computes; None = the first CUDA device, or the CPU where there is none.
        load_in_4bit: quantise the linear layers to four bits (needs bitsandbytes).
    """
    return _load(name, bf16=bf16, device=device, load_in_4bit=load_in_4bit)


def sample(
    policy: Policy | str,
    prompts: Prompts,
    *,
    num_generations: int = 1,
    **sampling: Any,
) -> list[Group]:
    """Sample completions.

    Args:
        policy: a policy, or what :func:`load` takes.
        prompts: a file, texts, rows with a ``prompt``, or groups.
        num_generations: completions per prompt.
        sampling: ``temperature``, ``top_p``, ``top_k``, ``min_p``, ``max_completion_length``,
            ``stop``, ``seed``.

    Returns:
        one group per prompt.
    """
    policy = _policy(policy)
    asked = _prompts(prompts, policy)
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    with progress("sample", len(asked) * num_generations) as advance:
        return sample_prompts(engine, asked, num_generations, Sampling(**sampling), on_progress=advance)


def judge(
    groups: Sequence[Group],
    constitution: Constitution | str | Path | None = None,
    judge: str | Sequence[str] = "rules",
    **options: Any,
) -> list[Group]:
    """Judge every sample under every principle, or by a trained judge; the groups carry the judgements.

    Args:
        groups: sampled.
        constitution: what they are judged under; None = the judge is a checkpoint that was trained to judge.
        judge: ``rules``, a model, ``endpoint:MODEL@URL``, or several models as a panel.
        options: of :func:`charter.feedback.judging.open_judge.open_judge` (``form``, ``only`` ...); of a
            trained judge those of its kind, see :mod:`charter.feedback.trained.options`.

    Raises:
        ConfigError: an option that has no effect, or cannot be.
    """
    if constitution is None:
        if not isinstance(judge, str) or judge == "rules":
            raise ConfigError(
                "nothing says what is judged by", where="constitution", fix="name a constitution"
            )
        return judged(groups, said_by(named(judge, options, Path()), groups))
    law = _constitution(constitution)
    if judge != "rules":
        return judged(groups, open_judge(judge, law, **options).judge(groups))
    if options:
        raise ConfigError(f"{min(options)} has no effect on rules", where="judge", fix="name a model")
    return judged(groups, ConstitutionFeedback(law).judge(groups))


def train(
    algorithm: str,
    policy: Policy | str,
    data: Any = None,
    *,
    output_dir: str | Path | None = None,
    eval_data: Any = None,
    objective: str | None = None,
    objective_options: Mapping[str, Any] | None = None,
    resume: Resume = "auto",
    **options: Any,
) -> Run:
    """Train a policy.

    Args:
        algorithm: a name of ``charter algorithms``.
        policy: trained in place; a name is loaded first.
        data: a file, a hub id, a ``datasets`` object, or rows; for online methods prompts, or a spec
            such as ``reasoning-gym:spell_backward?size=200``. None = what an environment makes.
        output_dir: the run directory; by default ``runs/<algorithm>``, numbered when that is taken.
        eval_data: rows for ``eval_steps``.
        objective: ``mine.py:MyLoss`` in place of the algorithm's loss.
        objective_options: its options.
        resume: ``auto`` continues an interrupted run in ``output_dir``.
        options: the algorithm's options, with TRL's names. ``reward_funcs`` may hold functions too.

    Raises:
        ConfigError: an unknown option, with the nearest name or why TRL's does not apply.
    """
    functions = named_functions(options)
    settings = train_options(algorithm, options, f"charter.train({algorithm!r})")
    if data is not None and not isinstance(data, (str, Path)):
        data = list(data)
    load_check(algorithm, data, eval_data, settings, functions)
    run = RunDir(Path(output_dir) if output_dir is not None else _free_directory(algorithm))
    with run.lock():
        # Loaded in the type it is computed in: float32 training must not start from rounded weights.
        trained = policy if isinstance(policy, Policy) else load(str(policy), bf16=settings.bf16)
        request = TrainRequest(
            algorithm=algorithm,
            options=settings,
            data=str(data) if isinstance(data, Path) else data,
            eval_data=str(eval_data) if isinstance(eval_data, Path) else eval_data,
            objective=objective,
            objective_options=dict(objective_options or {}),
            resume=resume,
            functions=functions,
        )
        run.update_manifest(algorithm=algorithm, model=trained.name)
        result = _train(request, trained, run.path)
        run.update_manifest(result={k: v for k, v in result.items() if k != "options"}, finished=True)
    return Run(run.path, trained, result)


def load_check(
    algorithm: str,
    data: Any,
    eval_data: Any = None,
    options: TrainOptions | None = None,
    functions: Functions | None = None,
) -> int:
    """Find the mistakes of data and rewards before a model loads; returns the number of rows."""
    entry = lookup(algorithm)
    options = options or entry.options()
    if eval_data is not None:
        load_data(eval_data, entry, options)
    loaded = load_data(data, entry, options)
    if isinstance(options, RolloutOptions):
        with closing(rewards_of(options, Path(), functions or {})) as rewards:
            check_prompts(rewards, options, loaded.groups)
    return len(loaded.groups)


def run(recipe: str | Path, output_dir: str | Path | None = None, *, fresh: bool = False) -> dict[str, Any]:
    """Run a recipe, or continue it; returns the stages' summaries and ``exit_code``."""
    parsed = Recipe.load(recipe)
    directory = Path(output_dir) if output_dir is not None else Path("runs") / parsed.head.name
    return run_recipe(parsed, directory, fresh=fresh)


def evaluate(
    model: Run | Policy | str | Path, constitution: Constitution | str | Path, **options: Any
) -> Evaluation:
    """Measure how far a model adheres to a constitution.

    Principles that have rules are judged by them, the others by ``judge`` where its card lets it.

    Args:
        model: a run, a policy, or what :func:`load` takes.
        constitution: a file, or one already loaded.
        options: of :class:`charter.pipeline.evaluate_options.EvaluateOptions`: ``prompts``, ``against``,
            ``judge``, ``card``, ``out`` and others. ``run`` of a :class:`Run` is its own.

    Returns:
        the card (``.card``), the health measures, flags, and all judged answers.

    Raises:
        ConfigError: an unknown option, with the nearest name, or one that cannot be.
        Interrupted: the person asked to stop; with ``out`` or ``keep`` nothing that was done is lost.
    """
    source = model.policy if isinstance(model, Run) else model
    if isinstance(model, Run):
        options = {"run": str(model.path), **options}
    name = source.name if isinstance(source, Policy) else str(source)
    ready = ready_for(name, constitution, EvaluateOptions.of(options))  # mistakes are found before it loads
    return measure(_policy(source), ready)


def compare(
    *models: Policy | Run | str | Path,
    constitution: Constitution | str | Path,
    prompts: Prompts,
    max_completion_length: int = 256,
) -> WinRates:
    """Compare models answer by answer on the same prompts: who passes more of the constitution?

    Args:
        models: two or more, in any form :func:`load` takes, or runs. Models of the same name are told
            apart by a number: ``smollm2-135m``, ``smollm2-135m#2``.
        constitution: judges both answers by its rules.
        prompts: as in :func:`sample`.
        max_completion_length: most tokens of an answer.
    """
    if len(models) < 2:
        raise UserError("compare needs at least two models")
    rules = _constitution(constitution)
    feedback = ConstitutionFeedback(rules)
    answers: dict[str, list[Group]] = {}
    for model in models:
        policy = model.policy if isinstance(model, Run) else _policy(model)
        groups = sample(policy, prompts, temperature=0.0, max_completion_length=max_completion_length)
        name = model if isinstance(model, str) else policy.name
        answers[_told_apart(name, answers)] = judged(groups, feedback.judge(groups))
    return win_rates(answers)


def _told_apart(name: str, taken: Container[str]) -> str:
    """``name``, or ``name#2``, ``name#3`` ... where it is taken."""
    names = chain([name], (f"{name}#{number}" for number in count(2)))
    return next(one for one in names if one not in taken)


def report(run_directory: str | Path) -> Path:
    """Draw ``report.html`` again from a run's ``report.json``; returns its path."""
    from charter.reporting import write_report

    return write_report(Path(run_directory))


# -- what people pass in ----------------------------------------------------------------


def _policy(model: Policy | str | Path) -> Policy:
    return model if isinstance(model, Policy) else load(str(model))


def _constitution(constitution: Constitution | str | Path) -> Constitution:
    return constitution if isinstance(constitution, Constitution) else Constitution.load(constitution)


def _prompts(prompts: Prompts, policy: Policy) -> tuple[Group, ...]:
    return prepare(read_prompts(prompts), policy.template).groups


def _free_directory(name: str) -> Path:
    base = Path("runs") / name
    path, number = base, 1
    while path.exists():
        number += 1
        path = base.with_name(f"{name}-{number}")
    return path
