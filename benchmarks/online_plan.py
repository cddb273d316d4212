"""The cells of the online study: what is trained on what, and how long that takes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from charter.errors import ConfigError, did_you_mean
from charter.rundir import sha256_file

COMMAND = "python benchmarks/online_study.py"
DATA = Path(__file__).resolve().parent / "data"
TRAIN, HELD_OUT = DATA / "online_train.jsonl", DATA / "online_heldout.jsonl"
TASKS = DATA / "online_tasks.json"
"""The reasoning-gym tasks that ``--probe`` chose."""

Part = Literal["frontier", "best-of-n", "ppo", "staleness", "tasks", "toy"]
STEP, END_GENERATIONS, BASE_GENERATIONS = 32, 2, 12
VERSION = 2
"""Of what a cell measures and keeps; cells of another one are measured again."""

FEWER_SEEDS: Mapping[Part, int] = {"ppo": 2, "staleness": 2, "tasks": 2, "toy": 1}
"""Most seeds of a part, where not all are run. The toy counts its seeds itself."""


@dataclass(frozen=True)
class Setting:
    """One method with its options.

    Attributes:
        name: unique; a cell is ``NAME,seedN``.
        part: of the study.
        algorithm: name in the catalogue; "" = nothing is trained.
        title: what is special about it, in words.
        options: beside :func:`common_options`.
        rollouts: completions sampled for training.
        batch: completions of an optimizer step.
        points: how often it is measured, the end included.
        tokens: most tokens of a completion.
        task: spec of held-in reasoning-gym tasks; "" = sentiment.
        passes: passes over what is trained beside training (reference, old log-probs, values).
        trained: share of the rollouts that is trained on, about.
        models: trained ones.
        updates: how often the rollouts are gone over.
    """

    name: str
    part: Part
    algorithm: str = ""
    title: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    rollouts: int = 0
    batch: int = STEP
    points: int = 4
    tokens: int = 32
    task: str = ""
    passes: int = 0
    trained: float = 1.0
    models: int = 1
    updates: int = 1

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return max(self.rollouts // self.batch, 1) * self.updates

    @property
    def every(self) -> int:
        """Optimizer steps between two measurements."""
        return max(self.steps // self.points, 1)


@dataclass(frozen=True)
class Cell:
    """A setting with a seed."""

    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        """``NAME,seedN``."""
        return f"{self.setting.name},seed{self.seed}"

    def file(self, cache: Path) -> Path:
        """Where its result is kept."""
        return cache / "cells" / f"{self.name.replace(',', '_').replace(':', '-')}.json"

    def finished(self, cache: Path, args: argparse.Namespace) -> bool:
        """Whether it was measured with the settings of now."""
        return finished_row(self, cache, args) is not None


def settings_of(args: argparse.Namespace) -> list[Setting]:
    """Every setting of the study, part by part."""
    return [
        *_frontier(args),
        Setting("best-of-n", "best-of-n", title="the base model, the best of n by the reward"),
        *_staleness(args),
        *_ppo(args),
        *_tasks(args),
        Setting("toy", "toy", title="DPO and PPO on 8 prompts with 8 answers"),
    ]


def cells_of_study(args: argparse.Namespace) -> list[Cell]:
    """Every cell, one seed after the other, so that a study cut short has whole seeds."""
    settings = settings_of(args)
    return [
        Cell(setting, seed)
        for seed in range(args.seeds)
        for setting in settings
        if seed < FEWER_SEEDS.get(setting.part, args.seeds)
    ]


def parse_cell(name: str, args: argparse.Namespace) -> Cell:
    """The cell called ``grpo,seed0``.

    Raises:
        ConfigError: it is written otherwise, or names no setting.
    """
    setting, _, seed = name.rpartition(",")
    if not setting or not seed.startswith("seed") or not seed.removeprefix("seed").isdigit():
        raise ConfigError(f"cell {name!r} must look like grpo,seed0")
    known = {one.name: one for one in settings_of(args)}
    if setting not in known:
        raise ConfigError(f"no cell {setting!r}; {did_you_mean(setting, known)}")
    return Cell(known[setting], int(seed.removeprefix("seed")))


# -- the settings ----------------------------------------------------------------------


def _frontier(args: argparse.Namespace) -> list[Setting]:
    n, tokens = args.rollouts, args.tokens
    steps = max(n // STEP, 1)

    def one(name: str, title: str, cost: Mapping[str, Any], **options: Any) -> Setting:
        algorithm = "dpo" if name == "offline-dpo" else name
        return Setting(name, "frontier", algorithm, title, options, n, tokens=tokens, **cost)

    return [
        one(
            "ppo",
            "a critic, rounds of 64 passed over once in 2 steps",
            {"passes": 3, "models": 2},
            num_iterations=1,
            steps_per_generation=_parts(steps, 2),
        ),
        one("grpo", "8 to a prompt", {}, num_generations=8),
        one("rloo", "4 to a prompt", {"passes": 2}, num_generations=4),
        one("reinforce-plus-plus", "1 to a prompt", {"passes": 2}),
        one("online-dpo", "fresh pairs every step", {"passes": 1}),
        one(
            "nash-md",
            "against a mixture with the base model",
            {"passes": 1, "trained": 0.5},
            preference_temperature=0.25,
        ),
        one(
            "rest",
            "sampled once, imitated three times above a threshold that rises",
            {"trained": 0.9, "updates": 3},
            num_generations=8,
            reward_thresholds=[0.2, 0.5, 0.8],
            steps_per_generation=steps,
            mask_truncated_completions=False,
        ),
        one(
            "rso",
            "pairs among 8 accepted of 16",
            {"passes": 1, "trained": 0.5},
            num_generations=16,
            num_accepted=8,
            steps_per_generation=_parts(steps, steps // 3),
        ),
        one("offline-dpo", "pairs sampled once, from the base model", {"passes": 1}),
    ]


def _staleness(args: argparse.Namespace) -> list[Setting]:
    """Between fresh pairs (online-dpo) and pairs of the base model (offline-dpo)."""
    steps = max(args.rollouts // STEP, 1)
    parts = _parts(steps, steps // 3)
    return [
        Setting(
            "online-dpo-stale",
            "staleness",
            "online-dpo",
            f"pairs sampled every {parts} steps",
            {"steps_per_generation": parts},
            args.rollouts,
            tokens=args.tokens,
            passes=1,
        )
    ]


def _ppo(args: argparse.Namespace) -> list[Setting]:
    """Each without one part; ``ppo`` of the frontier at the same step is what they are compared with."""
    n = args.rollouts // 2

    def one(name: str, title: str, batch: int = STEP, **options: Any) -> Setting:
        options |= {"steps_per_generation": _parts(max(n // batch, 1), 2), "num_iterations": 1}
        return Setting(
            name, "ppo", "ppo", title, options, n, batch, 2, tokens=args.tokens, passes=3, models=2
        )

    return [
        one("ppo-unnormalised", "advantages as they are", whiten_advantages=False),
        one(
            "ppo-small-batch",
            "rounds of 16 in steps of 8, the learning rate halved (Adam: by the root of the batch)",
            batch=STEP // 4,
            learning_rate=args.learning_rate / 2,
        ),
        one(
            "ppo-ema-reference",
            "reference follows the policy: a tenth a step",
            sync_ref_model=True,
            ref_model_mixup_alpha=0.1,
            ref_model_sync_steps=1,
        ),
    ]


def _tasks(args: argparse.Namespace) -> list[Setting]:
    return [
        Setting(
            f"grpo:{task['name']}",
            "tasks",
            "grpo",
            task["spec"],
            {"num_generations": 8},
            args.rollouts * 2 // 3,
            tokens=task["tokens"],
            task=task["spec"],
        )
        for task in chosen_tasks()
    ]


def _parts(steps: int, wanted: int) -> int:
    """The divisor of ``steps`` next to ``wanted`` from below, so that no round is left half used."""
    return next(parts for parts in range(max(min(wanted, steps), 1), 0, -1) if steps % parts == 0)


def chosen_tasks() -> list[dict[str, Any]]:
    """The tasks that ``--probe`` chose: ``name``, ``spec``, ``tokens``; none before it has run."""
    if not TASKS.exists():
        return []
    found: list[dict[str, Any]] = json.loads(TASKS.read_text(encoding="utf-8"))["chosen"]
    return found


# -- one cell's options, and whether it is known ------------------------------------------


def options_of(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Options of the training run: what all share, then the setting's."""
    setting = cell.setting
    options: dict[str, Any] = {
        "learning_rate": args.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 2,
        "adam_beta2": 0.95,
        "per_device_train_batch_size": setting.batch,
        "max_steps": setting.steps,
        "use_peft": True,
        "lora_r": 16,
        "save_steps": 10**6,
        "seed": cell.seed,
    }
    if setting.algorithm == "dpo":
        return {**options, **setting.options}
    online = {
        "reward_funcs": ["reasoning-gym" if setting.task else args.reward],
        "max_completion_length": setting.tokens,
        "temperature": 1.0,
        "watchdog": "warn",
    }
    return {**options, **online, **setting.options}


def identity(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Everything that decides a cell's numbers, as JSON keeps it."""
    setting = cell.setting
    if setting.part == "toy":
        return {"toy": VERSION}
    data = setting.task or [sha256_file(TRAIN), sha256_file(HELD_OUT)]
    found = {
        "version": VERSION,
        "model": args.model,
        "data": data,
        "tokens": setting.tokens if setting.algorithm else args.tokens,
        "eval_prompts": args.eval_prompts,
        "reward": args.reward,
        "algorithm": setting.algorithm,
        "options": options_of(cell, args) if setting.algorithm else {},
        "rollouts": setting.rollouts,
        "every": setting.every,
    }
    kept: dict[str, Any] = json.loads(json.dumps(found))
    return kept


def finished_row(cell: Cell, cache: Path, args: argparse.Namespace) -> dict[str, Any] | None:
    """A cell's result, where it was measured with the settings of now."""
    file = cell.file(cache)
    if not file.exists():
        return None
    row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return row if row["settings"] == identity(cell, args) else None
