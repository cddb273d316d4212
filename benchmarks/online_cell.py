"""Runs cells of the online study: train, and look at the policy on the way."""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import torch
from online_measure import Trajectory, said, scored, scorers_of
from online_plan import (
    BASE_GENERATIONS,
    END_GENERATIONS,
    HELD_OUT,
    TRAIN,
    Cell,
    identity,
    options_of,
)
from online_tasks import held_out_tasks, training_spec
from study_parts import Row, circumstances, memory_mib, sampled

import charter
from charter.data.formats import LoadedData
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.environments.tasks import load_prompts
from charter.feedback.rewards import Rewards, open_rewards
from charter.models.policy import Policy
from charter.pipeline.recipe import train_options
from charter.pipeline.training import TrainRequest, train
from charter.records import write_groups
from charter.rundir import read_jsonl, write_json
from charter.types import Group, Judgement, PairTarget

HELD_OUT_SEED = 1000
"""Added to a cell's seed: what is sampled from held-out prompts."""

KEPT = (
    "reward",
    "kl",
    "entropy",
    "reward_std",
    "frac_reward_zero_std",
    "completions/mean_length",
    "completions/repetition",
    "skipped",
)
"""Metrics of every step that a cell keeps."""


def run_cells(cells: Sequence[Cell], args: argparse.Namespace) -> None:
    """Run cells one after the other in this process, without those that another process has finished."""
    for cell in cells:
        if cell.finished(Path(args.cache), args):
            continue
        began = time.monotonic()
        row = {"cell": cell.name, "setting": cell.setting.name, "part": cell.setting.part, "seed": cell.seed}
        row |= run_cell(cell, args)
        row |= {"settings": identity(cell, args), "seconds_all": time.monotonic() - began, **circumstances()}
        file = cell.file(Path(args.cache))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, row)


def run_cell(cell: Cell, args: argparse.Namespace) -> Row:
    """What a cell measures."""
    if cell.setting.part == "toy":
        from online_toy import run_toy

        return {"toy": run_toy()}
    if cell.setting.part == "best-of-n":
        return base_cell(cell, args)
    return trained_cell(cell, args)


def base_cell(cell: Cell, args: argparse.Namespace) -> Row:
    """Many completions of the base model, from which the best of n is estimated."""
    policy = charter.load(args.model)
    seed = HELD_OUT_SEED + cell.seed
    groups = sampled(policy, HELD_OUT, BASE_GENERATIONS, args.tokens, seed, args.eval_prompts)
    scores = scored(scorers_of("", args.reward), groups)
    return {"scores": scores, **said(groups), "memory_mib": memory_mib()}


def trained_cell(cell: Cell, args: argparse.Namespace) -> Row:
    """Train one setting with one seed; measure before, on the way and at the end."""
    setting = cell.setting
    work = Path(args.cache) / "work" / cell.name.replace(",", "_").replace(":", "-")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    policy = charter.load(args.model)
    scorers = scorers_of(setting.task, args.reward)
    trajectory = Trajectory(
        held_out(cell, policy, args),
        scorers,
        every=setting.every,
        tokens=setting.tokens,
        seed=HELD_OUT_SEED + cell.seed,
        at_end=END_GENERATIONS,
        kl_before_end=not setting.task,
    )
    trajectory.before(policy)
    began, cpu = time.monotonic(), time.process_time()
    before = trajectory.seconds
    options = options_of(cell, args)
    data, pairs = training_spec(setting.task) if setting.task else str(TRAIN), None
    if setting.algorithm == "dpo":
        with closing(open_rewards([args.reward])) as rewards:
            made = pairs_of(policy, rewards, setting.rollouts // 2, setting.tokens, cell.seed)
        if not made:
            raise SystemExit("no two completions of the base model have different rewards")
        write_groups(work / "pairs.jsonl", made)
        # The same number of steps as online: pairs of equals are left out there too.
        options["per_device_train_batch_size"] = max(len(made) // setting.steps, 1)
        data, pairs = str(work / "pairs.jsonl"), len(made)
    request = TrainRequest(
        setting.algorithm,
        train_options(setting.algorithm, options, cell.name),
        data,
        resume="never",
        hooks=(trajectory,),
    )
    result = train(request, policy, work)
    seconds = time.monotonic() - began - (trajectory.seconds - before)
    rows = read_jsonl(work / "metrics.jsonl")
    for one in scorers.values():
        one.close()
    shutil.rmtree(work)
    return {
        "algorithm": setting.algorithm,
        "options": options,
        "points": trajectory.points,
        "end": trajectory.end,
        "steps": [_kept(row) for row in rows],
        "alarms": sorted({name for row in rows for name in row if _is_alarm(name, row)}),
        "pairs": pairs,
        "steps_taken": result["steps"],
        "stopped_by": result["stopped_by"],
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu,
        "memory_mib": memory_mib(),
    }


def held_out(cell: Cell, policy: Policy, args: argparse.Namespace) -> Sequence[Group]:
    """Prompts that are not trained on, rendered: openings, or tasks made from another seed."""
    if cell.setting.task:
        spec = cell.setting.task
        loaded = LoadedData(tuple(held_out_tasks(spec, args.eval_prompts)), {}, "prompts", spec)
    else:
        loaded = load_prompts(str(HELD_OUT))
    return prepare(loaded, policy.template).groups[: args.eval_prompts]


def pairs_of(policy: Policy, rewards: Rewards, count: int, tokens: int, seed: int) -> list[Group]:
    """``count`` pairs of the policy's completions of the training prompts, less those of equals."""
    prompts = list(prepare(load_prompts(str(TRAIN)), policy.template).groups)
    asked: list[Group] = []
    rng = random.Random(f"{seed}:pairs")
    while len(asked) < count:
        rng.shuffle(prompts)
        asked += prompts[: count - len(asked)]
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    sampling = Sampling(temperature=1.0, max_completion_length=tokens, seed=seed)
    groups = sample_prompts(engine, asked, 2, sampling)
    values = scored({"reward": rewards}, groups)["reward"]
    return [pair for at, group in enumerate(groups) if (pair := _pair(group, values[at], at)) is not None]


def _pair(group: Group, values: Sequence[float | None], number: int) -> Group | None:
    """The better of two before the worse; None where they are equal or one has no reward."""
    first, second = values
    if first is None or second is None or first == second:
        return None
    samples = group.samples if first > second else group.samples[::-1]
    preferred = Judgement(PairTarget(0, 1), abs(first - second), judge="reward")
    return Group(samples, (preferred,), f"{group.id}#{number}", group.source)


def _kept(row: Mapping[str, float]) -> dict[str, float]:
    return {"step": row["step"], **{name: row[name] for name in KEPT if row.get(name) is not None}}


def _is_alarm(name: str, row: Mapping[str, float]) -> bool:
    value = row[name]
    return name.startswith("watchdog/") and name != "watchdog/unreadable" and value is not None and value > 0
