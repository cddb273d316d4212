"""The Python API. The command line is a thin skin over these functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.catalogue import TrainOptions, lookup
from charter.catalogue.rollouts import RolloutOptions
from charter.constitution import Constitution
from charter.data.formats import LoadedData, groups_of, load_groups
from charter.data.prepare import prepare
from charter.data.read import read_rows
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.engines.tuning_free import TuningFree
from charter.errors import ConfigError, UserError
from charter.evaluation.adherence import Criteria
from charter.evaluation.evaluate import Evaluation, judged
from charter.evaluation.evaluate import evaluate as _evaluate
from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.labels import Labels
from charter.evaluation.winrate import WinRates, win_rates
from charter.feedback.constitution import ConstitutionFeedback
from charter.feedback.judging.open_judge import open_judge
from charter.models.load import load as _load
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.pipeline.evaluating import REPLIES, in_question, open_given, own_prompts, write_evaluation
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

Prompts = str | Path | Sequence[str] | Sequence[Mapping[str, Any]] | Sequence[Group]


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
    constitution: Constitution | str | Path,
    judge: str | Sequence[str] = "rules",
    **options: Any,
) -> list[Group]:
    """Judge every sample under every principle; the groups carry the judgements.

    Args:
        groups: sampled.
        constitution: what they are judged under.
        judge: ``rules``, a model, ``endpoint:MODEL@URL``, or several models as a panel.
        options: of :func:`charter.feedback.judging.open_judge.open_judge` (``form``, ``only`` ...).

    Raises:
        ConfigError: an option that has no effect, or cannot be.
    """
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
    model: Run | Policy | str | Path,
    constitution: Constitution | str | Path,
    *,
    prompts: Prompts | None = None,
    against: Policy | str | None = None,
    num_generations: int = 1,
    temperature: float = 0.0,
    max_completion_length: int = 256,
    unrelated_text: str = "",
    seed: int = 0,
    in_context: str | None = None,
    demonstrations: Any = None,
    system_prompt: Constitution | Path | str | None = None,
    principles: Sequence[str] = (),
    changed_from: Constitution | str | Path | None = None,
    judge: str | Judge | None = None,
    card: JudgeCard | str | Path | None = None,
    labels: Labels | str | Path | None = None,
    since: str | Path | None = None,
    run: str | Path | None = None,
    out: str | Path | None = None,
) -> Evaluation:
    """Measure how far a model adheres to a constitution.

    Principles that have rules are judged by them, the others by ``judge`` where its card lets it.

    Args:
        model: a run, a policy, or what :func:`load` takes.
        constitution: a file, or one already loaded.
        prompts: held-out prompts; by default the constitution's own tests, of which every kind is then
            measured in its own way as well.
        against: the model before alignment; an adapter is measured against its base by itself.
        num_generations: answers per prompt.
        temperature: 0 = greedy.
        max_completion_length: most tokens of an answer.
        unrelated_text: prose for perplexity drift.
        seed: of sampled answers, bootstrap and permutation.
        in_context: ask the model after examples: ``urial``, ``urial-plain``, ``urial-chat`` or ``icdpo``.
            It is then measured against itself without them, where ``against`` is not given.
        demonstrations: rows with answers: what ``icdpo`` chooses from, or ``urial`` takes as its examples.
        system_prompt: ask under a constitution, a file or a text; measured in the same way.
        principles: ids of those in question; empty = all. With some left alone no gate is judged.
        changed_from: an older version of the constitution: only what changed since is in question.
        judge: of what rules leave open: a model, ``endpoint:MODEL@URL``, or a judge that is there already.
        card: of that judge, or its file; None = it is examined first.
        labels: people's labels of answers, or their file: they calibrate a judge that has no card, and
            labels of the measured answers themselves correct their rates.
        since: an older ``report.json``: what changed since is told.
        run: the run directory or data file the model was trained with; a :class:`Run` is its own.
        out: a directory for ``report.json``, ``report.html`` and the judged answers.

    Returns:
        the card (``.card``), the health measures, flags, and all judged answers.
    """
    rules = in_question(_constitution(constitution), principles, changed_from)
    around = TuningFree.named(in_context, demonstrations, system_prompt)
    # Mistakes in files and names are found before the model loads.
    loaded = own_prompts(rules) if prompts is None else read_prompts(prompts)
    trained = str(model.path) if isinstance(model, Run) else run
    named = model.policy if isinstance(model, Run) else model
    given = open_given(
        rules,
        judge=judge,
        card=card,
        labels=labels,
        since=since,
        run=trained if run is None else run,
        policy=named.name if isinstance(named, Policy) else str(named),
        journal=None if out is None else Path(out) / REPLIES,
    )
    policy = model.policy if isinstance(model, Run) else _policy(model)
    bare = around is not None and around.asks_unrendered(policy, loaded.groups)
    reference = None
    if against is not None:
        if bare:
            raise UserError(
                "a model without a chat template is asked by examples alone: nothing compares with it",
                where="against",
                fix="leave it out, or give plain text prompts",
            )
        reference = _other_model(against, policy)
    elif around is not None:
        reference = None if bare else Reference(policy.model)
    elif policy.has_adapter:
        reference = Reference(None)
    found = _evaluate(
        policy,
        rules,
        loaded.groups if bare else prepare(loaded, policy.template).groups,
        reference=reference,
        sampling=Sampling(temperature=temperature, max_completion_length=max_completion_length, seed=seed),
        num_generations=num_generations,
        unrelated_text=unrelated_text,
        criteria=Criteria(seed=seed),
        around=None if around is None else (lambda engine: around.around(engine, policy)),
        judge=given.judge,
        card=given.card,
        labels=given.labels,
        measure_tests=prompts is None and not bare,
    )
    if out is not None:
        name = against.name if isinstance(against, Policy) else against
        base = None if found.before is None else name or "without alignment"
        write_evaluation(out, found, rules, given, model=policy.name, base=base, seed=seed)
    return found


def compare(
    *models: Policy | str | Path,
    constitution: Constitution | str | Path,
    prompts: Prompts,
    max_completion_length: int = 256,
) -> WinRates:
    """Compare models answer by answer on the same prompts: who passes more of the constitution?

    Args:
        models: two or more, in any form :func:`load` takes.
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
        policy = _policy(model)
        groups = sample(policy, prompts, temperature=0.0, max_completion_length=max_completion_length)
        answers[policy.name] = judged(groups, feedback.judge(groups))
    return win_rates(answers)


def report(run_directory: str | Path) -> Path:
    """Draw ``report.html`` again from a run's ``report.json``; returns its path."""
    from charter.reporting import write_report

    return write_report(Path(run_directory))


# -- what people pass in ----------------------------------------------------------------


def _policy(model: Policy | str | Path) -> Policy:
    return model if isinstance(model, Policy) else load(str(model))


def _other_model(model: Policy | str, policy: Policy) -> Reference:
    other = _policy(model)
    if other.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise UserError(
            f"{other.name} and {policy.name} have different vocabularies: likelihood and KL do not compare",
            where="against",
            fix="use `charter compare` for models of different families",
        )
    return Reference(other.model)


def _constitution(constitution: Constitution | str | Path) -> Constitution:
    return constitution if isinstance(constitution, Constitution) else Constitution.load(constitution)


def _prompts(prompts: Prompts, policy: Policy) -> tuple[Group, ...]:
    return prepare(read_prompts(prompts), policy.template).groups


def read_prompts(prompts: Prompts) -> LoadedData:
    """Prompts in any form as groups; plain texts become user turns."""
    if isinstance(prompts, (str, Path)):
        return load_groups(str(prompts), "prompts")
    listed = list(prompts)
    if listed and all(isinstance(p, Group) for p in listed):
        groups = tuple(p for p in listed if isinstance(p, Group))
        bare = tuple(replace(g, samples=(g.samples[0],)) for g in groups)
        return LoadedData(bare, {}, "prompts", "prompts")
    rows = [{"prompt": [{"role": "user", "content": p}]} if isinstance(p, str) else p for p in _rows(listed)]
    return groups_of(read_rows(rows), "prompts")


def _rows(listed: Iterable[Any]) -> list[Any]:
    return [json.loads(json.dumps(row)) if isinstance(row, Mapping) else row for row in listed]


def _free_directory(name: str) -> Path:
    base = Path("runs") / name
    path, number = base, 1
    while path.exists():
        number += 1
        path = base.with_name(f"{name}-{number}")
    return path
