"""Run a recipe's stages: skip what is done, continue what was interrupted.

A stage is done when its folder holds ``done.json`` under the key of everything
that decides its result: its options, the files it reads, and the stages before
it. Change the constitution, and judging starts over while the samples stay.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import charter
from charter.catalogue import lookup
from charter.constitution import Constitution
from charter.errors import CharterError, Interrupted
from charter.interrupt import graceful
from charter.pipeline.attempts import Attempts
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.pipeline.reviews import forget_all_but
from charter.pipeline.rewarded_prompts import reward_file
from charter.pipeline.stage import DONE, Context, StageRunner
from charter.pipeline.stages import compare, evaluate, judge, report, review, revise, sample, train
from charter.progress import say
from charter.rundir import RunDir, read_json, sha256_file, sha256_json, write_json, write_text

RUNNERS: dict[str, StageRunner] = {
    "sample": sample.run,
    "judge": judge.run,
    "compare": compare.run,
    "revise": revise.run,
    "train": train.run,
    "evaluate": evaluate.run,
    "report": report.run,
    "review": review.run,
}

# Stages that look again each time: at the run, and at what people said of it.
_AGAIN = {"report", "review"}

# Stages whose result depends on what the constitution says.
_READS_CONSTITUTION = {"judge", "evaluate", "report", "revise"}

# Files a stage leaves that people look for at the top of the run directory.
_SHOWN = {
    "sample": ("samples.jsonl",),
    "judge": ("judgements.jsonl",),
    "compare": ("pairs.jsonl",),
    "revise": ("revised.jsonl",),
    "train": ("metrics.jsonl", "checkpoints", "model"),
}

KEY = "key.json"


def run_recipe(recipe: Recipe, directory: Path, *, fresh: bool = False) -> dict[str, Any]:
    """Run every stage of ``recipe`` in ``directory``.

    Args:
        recipe: validated.
        directory: the run directory; an interrupted run continues in it.
        fresh: forget what was done there.

    Returns:
        summaries by stage, and ``exit_code``: 0, 1 gate failed, flagged or refused by reviewers, 6 undecided
        or waiting for them.
    """
    preflight(recipe)
    run = RunDir(directory)
    with run.lock(), graceful() as stop:
        if fresh:
            shutil.rmtree(run.path / "stages", ignore_errors=True)
        write_text(run.recipe, recipe.path.read_text("utf-8"))
        run.update_manifest(recipe=str(recipe.path), model=recipe.head.model)
        _set_threads(recipe.head.threads)
        reviews = {f"{n}-review" for n, (kind, _) in enumerate(recipe.stages, start=1) if kind == "review"}
        forget_all_but(run.path, reviews)
        results: dict[str, Any] = {}
        folders: dict[str, Path] = {}
        before: list[dict[str, Any]] = []
        key = ""
        for number, (kind, options) in enumerate(recipe.stages, start=1):
            key = _key(key, recipe, kind, options)
            context = Context(
                recipe,
                run,
                number,
                run.stage(number, kind),
                dict(results),
                dict(folders),
                before=tuple(before),
            )
            result = _run_stage(context, kind, options, key)
            before.append(result)
            for label in _labels(kind, options):
                results[label], folders[label] = result, context.directory
            if kind in folders:
                _show(run, kind, folders[kind])
            if kind == "review" and "exit_code" in result:  # not approved
                return {"stages": results, "exit_code": result["exit_code"], "path": str(run.path)}
            if stop.requested and number < len(recipe.stages):
                raise Interrupted(
                    f"stopped after stage {number} ({kind}), which is saved",
                    signum=stop.signum or 2,
                    fix="run the same command again to continue",
                )
        run.update_manifest(finished=True)
    exit_code = results.get("evaluate", {}).get("exit_code", 0)
    return {"stages": results, "exit_code": exit_code, "path": str(run.path)}


def _labels(kind: str, options: Any) -> list[str]:
    """What later stages find a stage's results under; a reward model is not what a recipe is about."""
    name = getattr(options, "name", None)
    policy = kind != "train" or lookup(options.algorithm).trains == "policy"
    return [*([kind] if policy else []), *([name] if name else [])]


def _run_stage(context: Context, kind: str, options: Any, key: str) -> dict[str, Any]:
    total = len(context.recipe.stages)
    name = getattr(options, "name", None)
    title = f"[{context.number}/{total}] {kind}" + (f" {name}" if name else "")
    stored = read_json(context.directory / KEY) or {}
    if stored.get("key") != key:
        if stored:
            say(f"{title}: its inputs changed, starting it over")
        shutil.rmtree(context.directory, ignore_errors=True)
        context.directory.mkdir(parents=True)
        write_json(context.directory / KEY, {"key": key})
    done = read_json(context.directory / DONE)
    if done is not None and kind not in _AGAIN:
        say(f"{title}: done before ({done['line']})")
        return {**done, "skipped": True}
    say(f"{title} ...")
    began = time.monotonic()
    context.attempts = Attempts(context.directory)
    context.attempts.begin()
    try:
        result = RUNNERS[kind](context, options)
    except BaseException as error:
        with suppress(CharterError):  # a full disk must not hide what went wrong
            context.attempts.stop()
        if isinstance(error, CharterError):
            error.add_note(f"in stage {context.number} ({kind})")
        if isinstance(error, Interrupted):
            error.fix = error.fix or "run the same command again to continue"
        raise
    context.attempts.forget()
    say(f"{title}: {result['line']}  ({time.monotonic() - began:.0f} s)")
    return result


def _key(before: str, recipe: Recipe, kind: str, options: Any) -> str:
    """Identity of everything that decides a stage's result; who reviews it decides nothing of it."""
    if kind == "review":
        return before
    values = options.model_dump(mode="json")
    files = {}
    for name in ("prompts", "data", "eval_data", "unrelated", "ptx_data", "card", "labels", "since"):
        given = values.get(name) or []
        for number, one in enumerate(given if isinstance(given, list) else [given]):
            path = recipe.file(one)
            if path.is_file():
                files[f"{name} {number}" if number else name] = sha256_file(path)
    for spec in values.get("reward_funcs") or ():
        path = recipe.file(reward_file(spec))
        if path.is_file():
            files[spec] = sha256_file(path)
    if values.get("objective"):
        files["objective"] = sha256_file(recipe.file(values["objective"].rpartition(":")[0]))
    guided = kind == "sample" and values.get("guided")
    if recipe.head.constitution and (kind in _READS_CONSTITUTION or guided):
        files["constitution"] = Constitution.load(recipe.file(recipe.head.constitution)).sha
    head = {"model": recipe.head.model, "bf16": recipe.head.bf16, "version": charter.__version__}
    return sha256_json([before, head, kind, values, files])


def _show(run: RunDir, kind: str, folder: Path) -> None:
    """Link a stage's results where people look for them."""
    for name in _SHOWN.get(kind, ()):
        link, target = run.path / name, folder / name
        if link.is_symlink() or not link.exists():
            link.unlink(missing_ok=True)
            if target.exists():
                link.symlink_to(os.path.relpath(target, run.path))


def _set_threads(threads: int | None) -> None:
    """Without a number torch keeps its own: one per usable core, or ``OMP_NUM_THREADS``."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
