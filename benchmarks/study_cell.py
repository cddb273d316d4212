"""Runs cells of the offline study: train, answer the held-out prompts, measure."""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from study_parts import Row, circumstances, sampled
from study_plan import FOR_THIS_BUDGET, Cell, default_beta

import charter
from charter.catalogue import ENTRIES, Entry
from charter.data.packing import pack
from charter.evaluation.health.fluency import distinct, finished, kl_per_sequence, nll_under, words
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.models.reference import CACHE_FILE
from charter.records import read_groups, write_groups
from charter.rundir import read_json, write_json
from charter.types import Group, Judgement, PairTarget, Sample, SampleTarget

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
CONSTITUTION = RECIPES / "quickstart.constitution.md"
GENERATIONS = 8
PROBE_PAIRS = 48
STEP_PAIRS = 8


def run_cells(cells: Sequence[Cell], args: argparse.Namespace) -> None:
    """Run cells one after the other in this process."""
    cache = Path(args.cache)
    for cell in cells:
        if cell.algorithm == "prepare":
            make_data(args)
        else:
            result = run_cell(cell, args)
            cell.file(cache).parent.mkdir(parents=True, exist_ok=True)
            write_json(cell.file(cache), result)


# -- the data -------------------------------------------------------------------------


def make_data(args: argparse.Namespace) -> None:
    """Pairs of the model's own answers, better and worse by the rules, and its held-out answers.

    Written as sampled groups, token ids and all, so that an answer cut off by the limit is not
    trained as if it had ended.
    """
    cache = Path(args.cache)
    policy = charter.load(args.model)
    judge = Reward()
    pool = sampled(policy, RECIPES / "quickstart" / "train.jsonl", GENERATIONS, args.tokens, seed=0)
    pairs = [pair for group in pool for pair in _pairs(group, judge(group))]
    random.Random(0).shuffle(pairs)
    if len(pairs) < args.pairs:
        raise SystemExit(f"only {len(pairs)} pairs of different reward, wanted {args.pairs}")
    pairs = pairs[: args.pairs]
    write_groups(cache / "preference.jsonl", pairs)
    write_groups(
        cache / "sft.jsonl", [replace(pair, samples=pair.samples[:1], judgements=()) for pair in pairs]
    )
    write_groups(cache / "unpaired.jsonl", [half for pair in pairs for half in _halves(pair)])
    held = _held_out(policy, args, seed=0)
    write_json(cache / "data.json", {"base_rewards": [judge(group) for group in held]})


class Reward:
    """Share of the applicable principles an answer passes, 0 to 1."""

    def __init__(self) -> None:
        self.feedback = ConstitutionFeedback(charter.Constitution.load(CONSTITUTION))

    def __call__(self, group: Group) -> list[float]:
        """One reward per sample."""
        (said,) = self.feedback.judge([group])
        found: list[list[float]] = [[] for _ in group.samples]
        for judgement in said:
            if judgement.value is not None:
                found[judgement.target.sample].append(judgement.value)  # type: ignore[union-attr]
        return [statistics.fmean(values) for values in found]


def _pairs(group: Group, rewards: Sequence[float]) -> list[Group]:
    """The best answer against the worst, and the second best against the second worst."""
    order = sorted(range(len(rewards)), key=lambda i: -rewards[i])
    found = []
    for number, (better, worse) in enumerate(zip(order[:2], order[::-1][:2], strict=True)):
        first, second = group.samples[better], group.samples[worse]
        if rewards[better] > rewards[worse] and first.completion.token_ids != second.completion.token_ids:
            said = Judgement(PairTarget(0, 1), 1.0, judge="rules")
            found.append(Group((first, second), (said,), f"{group.id}#{number}", group.source))
    return found


def _halves(pair: Group) -> list[Group]:
    """A pair as a desirable and an undesirable answer."""
    return [
        replace(
            pair,
            samples=(sample,),
            judgements=(Judgement(SampleTarget(0), value, judge="rules"),),
            id=f"{pair.id}:{value:g}",
        )
        for sample, value in zip(pair.samples, (1.0, 0.0), strict=True)
    ]


def _held_out(policy: Policy, args: argparse.Namespace, seed: int) -> list[Group]:
    file = RECIPES / "quickstart" / "heldout.jsonl"
    return sampled(policy, file, 1, args.tokens, 1000 + seed, args.eval_prompts)


# -- one cell --------------------------------------------------------------------------


def run_cell(cell: Cell, args: argparse.Namespace) -> Row:
    """Train and measure; the row of the results."""
    entry = ENTRIES[cell.algorithm]
    data = Path(args.cache) / f"{entry.data}.jsonl"
    policy = charter.load(args.model)
    work = Path(args.cache) / "work" / cell.name.replace(",", "_")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shared = reference_file(entry, Path(args.cache))
    if shared.exists():  # the reference is the same model on the same answers in every cell
        shutil.copy(shared, work / CACHE_FILE)
    run = charter.train(
        cell.algorithm,
        policy,
        data,
        output_dir=work,
        **training_options(cell, args),
    )
    if (work / CACHE_FILE).exists() and not shared.exists():
        shared.parent.mkdir(exist_ok=True)
        shutil.copy(work / CACHE_FILE, shared)
    shutil.rmtree(work)
    held = _held_out(policy, args, cell.seed)
    judge = Reward()
    rewards = [value for group in held for value in judge(group)]
    before = read_json(Path(args.cache) / "data.json") or {}
    base = [value for values in before["base_rewards"] for value in values]
    reference = Reference(None)
    kl = kl_per_sequence(policy, reference, held)
    probes = read_groups(Path(args.cache) / "preference.jsonl")[:PROBE_PAIRS]
    moved = _displacement(policy, reference, probes, Path(args.cache) / "probes.json")
    return {
        "cell": cell.name,
        "algorithm": cell.algorithm,
        "beta": cell.beta if cell.beta is not None else default_beta(entry),
        "default_beta": cell.beta is None,
        "seed": cell.seed,
        "rewards": rewards,
        "wins": [
            float(mine > theirs) + 0.5 * (mine == theirs) for mine, theirs in zip(rewards, base, strict=True)
        ],
        "kl": kl.mean,
        "kl_stderr": kl.stderr,
        "words": words(held),
        "finished": finished(held),
        "distinct": distinct(held),
        "nll": -statistics.fmean(logp for group in held for logp in group.samples[0].completion.logps),
        "nll_base": nll_under(policy, reference, held),
        "moved_chosen": moved[0],
        "moved_rejected": moved[1],
        "steps": run.result["steps"],
        "last": {k: v for k, v in run.result["last"].items() if not k.startswith("seconds")},
        **circumstances(),
    }


def reference_file(entry: Entry, cache: Path) -> Path:
    """Log-probs of the reference on this arrangement of the data, shared by all cells."""
    return cache / "reference" / f"{entry.data}-{entry.arrange.rpartition(':')[2]}.safetensors"


def training_options(cell: Cell, args: argparse.Namespace) -> Row:
    """The budget, the same for every method."""
    entry = ENTRIES[cell.algorithm]
    per_step = STEP_PAIRS * (2 if entry.data == "unpaired" else 1)  # a pair is two labelled answers
    options: Row = {
        "learning_rate": args.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 4,
        "adam_beta2": 0.95,
        "per_device_train_batch_size": per_step,
        "max_steps": args.pairs // STEP_PAIRS,
        "use_peft": True,
        "lora_r": 16,
        "save_steps": 10**6,
        "seed": cell.seed,
        **FOR_THIS_BUDGET.get(cell.algorithm, {}),
    }
    if cell.beta is not None:
        options["beta"] = cell.beta
    return options


def _displacement(
    policy: Policy, reference: Reference, groups: Sequence[Group], known: Path
) -> tuple[float, float]:
    """Mean change of the log-prob of whole answers since the start: better ones, worse ones; nats.

    Log-probs at the start are the same in every cell, and kept in ``known``.
    """
    samples = [sample for group in groups for sample in group.samples]
    before = read_json(known)
    if before is None:
        before = {"logps": _whole(policy, reference, samples)}
        write_json(known, before)
    now = _whole(policy, Reference(policy.model), samples)
    moved = [after - first for after, first in zip(now, before["logps"], strict=True)]
    return statistics.fmean(moved[0::2]), statistics.fmean(moved[1::2])


def _whole(policy: Policy, model: Reference, samples: Sequence[Sample]) -> list[float]:
    """Log-prob of each whole answer under ``model``, nats."""
    found: list[float] = []
    for start in range(0, len(samples), 32):
        packed = pack(samples[start : start + 32])
        logps_N = model.logps(policy, packed)
        total_B = torch.zeros(packed.num_samples, device=logps_N.device)
        found += total_B.index_add(0, torch.from_numpy(packed.sample_N).to(logps_N.device), logps_N).tolist()
    return found
