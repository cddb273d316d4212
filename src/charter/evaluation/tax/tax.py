"""The alignment tax of a model against its base: the same items asked of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charter.data.prepare import prepare
from charter.engines.base import Engine, Sampling
from charter.engines.local import LocalEngine
from charter.environments.tasks import SCHEME
from charter.errors import ConfigError, UserError
from charter.evaluation.health.fluency import perplexity
from charter.evaluation.tax.lm_eval import lm_eval_items
from charter.evaluation.tax.outcomes import Journal, TaskOutcome, load_tasks, outcomes_of
from charter.evaluation.tax.plan import TaxPlan, plan_of, time_words
from charter.evaluation.tax.rows import Shift, TaxRow, tax_rows, word_shift
from charter.evaluation.tax.tasks import TASKS, task_specs
from charter.feedback.rewards import Rewards, open_rewards
from charter.models.check import check_checkpoint
from charter.models.hub import resolve
from charter.models.policy import Policy
from charter.progress import progress, say
from charter.rundir import sha256_json
from charter.types import Group

ITEMS = "items.jsonl"

Load = Callable[[str], Policy]


@dataclass(frozen=True)
class Tax:
    """What was found.

    Attributes:
        model, base: names.
        rows: of every task, and of all together.
        shifts: words of an answer, perplexity on unrelated text.
        truncated: share of answers cut by the limit, of base and model, by task.
        specs: what was asked, by task.
        plan: the size of the work.
    """

    model: str
    base: str
    rows: tuple[TaxRow, ...]
    shifts: tuple[Shift, ...]
    truncated: Mapping[str, tuple[float, float]]
    specs: Mapping[str, str]
    plan: TaxPlan

    @property
    def exit_code(self) -> int:
        """1 where a task, or all together, fell."""
        return int(any(row.status == "fell" for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        """The rows of section E of the report, as a JSON object."""
        return {
            "schema": 1,
            "model": self.model,
            "base": self.base,
            "rows": [row.to_json() for row in self.rows],
            "shifts": [asdict(one) for one in self.shifts],
            "truncated": {task: list(both) for task, both in self.truncated.items()},
            "specs": dict(self.specs),
            "plan": asdict(self.plan),
        }


@dataclass(frozen=True)
class _Asked:
    """What both models are asked."""

    specs: Mapping[str, str]
    prompts: Mapping[str, Sequence[Group]]
    rewards: Rewards
    how: Sampling
    answers: int
    journal: Journal
    unrelated_text: str
    lm_eval: Sequence[str]
    limit: int
    seed: int


@dataclass(frozen=True)
class _Side:
    """One model's part."""

    outcomes: Mapping[str, TaskOutcome]
    perplexity: float | None
    documents: Mapping[str, Mapping[str, list[float]]]


def alignment_tax(
    model: str,
    base: str,
    *,
    tasks: Sequence[str] = tuple(TASKS),
    n: int = 100,
    num_generations: int = 1,
    ks: Sequence[int] = (1,),
    sampling: Sampling | None = None,
    unrelated_text: str = "",
    lm_eval: Sequence[str] = (),
    output: Path | None = None,
    seed: int = 0,
    alpha: float = 0.05,
    load: Load | None = None,
) -> Tax:
    """Ask both models the same items, one model in memory at a time, and compare item by item.

    Args:
        model: the aligned one, in any form :func:`charter.models.load.load` takes.
        base: the one before.
        tasks: see :func:`charter.evaluation.tax.tasks.task_specs`.
        n: items of each task.
        num_generations: answers to each item.
        ks: of pass@k, each at most ``num_generations``.
        sampling: how; greedy with 96 tokens by default.
        unrelated_text: for perplexity; "" = not measured.
        lm_eval: tasks of the lm-evaluation-harness, of which ``n`` documents each are asked.
        output: folder for ``items.jsonl``, from which an interrupted run goes on.
        seed: of the items, and of bootstrap and permutation.
        alpha: of claims.
        load: loads a model.

    Raises:
        ConfigError: a task, k or sampling that cannot be.
        EnvironmentFault: a package is missing.
        Interrupted: the person asked to stop.
    """
    how = sampling or Sampling(temperature=0.0, max_completion_length=96, seed=seed)
    if max(ks) > num_generations:
        raise ConfigError(f"{max(ks)} answers cannot be drawn from {num_generations}", where="k")
    if num_generations > 1 and how.greedy:
        raise ConfigError(
            "several greedy answers are the same answer", where="temperature", fix="set it above 0"
        )
    if model == base:
        raise UserError("a model against itself has no tax", fix="name the model before alignment")
    specs = task_specs(tasks, n, seed)
    if load is None:
        for name in (base, model):  # a mistyped model is found before the base has been asked everything
            check_checkpoint(resolve(name))
    rewards = open_rewards([SCHEME.removesuffix(":")])
    try:
        prompts = load_tasks(specs, rewards)
        plan = plan_of(prompts, num_generations, how.max_completion_length, alpha)
        for line in plan.lines():
            say(line)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        journal = Journal(None if output is None else output / ITEMS)
        asked = _Asked(
            specs, prompts, rewards, how, num_generations, journal, unrelated_text, lm_eval, n, seed
        )
        sides: list[_Side] = []
        for name in (base, model):
            policy = _load(name) if load is None else load(name)
            if not sides:
                _say_time(policy, prompts, how, plan)
            sides.append(_side(policy, name, asked))
            del policy
    finally:
        rewards.close()
    return _compared(model, base, sides[0], sides[1], specs, plan, ks, alpha, seed)


def _side(policy: Policy, name: str, asked: _Asked) -> _Side:
    total = asked.answers * sum(map(len, asked.prompts.values()))
    with progress(f"tasks, {Path(name).name}", total) as advance:
        outcomes = outcomes_of(
            _engine(policy),
            policy.template,
            asked.specs,
            asked.prompts,
            asked.rewards,
            asked.how,
            asked.answers,
            identity=fingerprint(policy),
            journal=asked.journal,
            on_progress=advance,
        )
    drift = perplexity(policy, None, asked.unrelated_text) if asked.unrelated_text else None
    documents = (
        lm_eval_items(policy, asked.lm_eval, limit=asked.limit, seed=asked.seed) if asked.lm_eval else {}
    )
    return _Side(outcomes, drift, documents)


def _compared(
    model: str,
    base: str,
    before: _Side,
    after: _Side,
    specs: Mapping[str, str],
    plan: TaxPlan,
    ks: Sequence[int],
    alpha: float,
    seed: int,
) -> Tax:
    first, second = ({t: one.right for t, one in side.outcomes.items()} for side in (before, after))
    rows = tax_rows(first, second, ks=ks, alpha=alpha, seed=seed)
    if before.documents:
        shared = {task: items for task, items in before.documents.items() if task in after.documents}
        other = {task: after.documents[task] for task in shared}
        rows += tax_rows(shared, other, source="lm-eval", alpha=alpha, seed=seed)
    words = [
        {f"{task}/{item}": value for task, one in side.outcomes.items() for item, value in one.words.items()}
        for side in (before, after)
    ]
    shifts = [word_shift(words[0], words[1], seed=seed)]
    if before.perplexity is not None and after.perplexity is not None:
        change = after.perplexity - before.perplexity
        shifts.append(Shift("perplexity", before.perplexity, after.perplexity, change))
    cut = {t: (before.outcomes[t].truncated, after.outcomes[t].truncated) for t in specs}
    return Tax(model, base, tuple(rows), tuple(one for one in shifts if one), cut, dict(specs), plan)


def _say_time(policy: Policy, prompts: Mapping[str, Sequence[Group]], how: Sampling, plan: TaxPlan) -> None:
    """Time a few answers, and say what all of them will take."""
    from charter.data.formats import LoadedData

    few = next(iter(prompts.values()))[:4]
    rendered = prepare(LoadedData(tuple(few), {}, "prompts", "warm-up"), policy.template).groups
    engine = _engine(policy)
    start = time.monotonic()
    engine.generate([group.samples[0].context for group in rendered], 1, how)
    each = (time.monotonic() - start) / len(few)
    say(f"plan: about {time_words(each * plan.answers)} for both models, from {len(few)} answers timed here")


def fingerprint(policy: Policy) -> str:
    """Identity of a model's weights: a changed checkpoint of the same name is another model."""
    import torch

    with torch.no_grad():
        sums = [(name, float(p.detach().double().sum().cpu())) for name, p in policy.model.named_parameters()]
    return sha256_json(sums)


def _engine(policy: Policy) -> Engine:
    return LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)


def _load(name: str) -> Policy:
    from charter.models.load import load

    return load(name)
