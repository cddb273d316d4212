"""The parts of ``dpo_vs_trl.py`` that run in a process of their own: rows, Charter, TRL.

Every trainer reports the same things: losses, seconds and tokens of each
optimizer step, seconds of the reference pass, peak memory, and a digest of the
token ids it really trained on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dpo_rows
from common import Clock, Neighbours, Span, peak_mib

from charter.rundir import now

LEARNING_RATE, BETA, MAX_GRAD_NORM = 5e-6, 0.1, 1.0
TUNED_MICRO_BATCH = {"equal": 8, "lognormal": 2, "check": 2}
"""Pairs per micro-batch of the tuned peer; see README.md for how they were found."""

Ids = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Prompt, chosen and rejected token ids of one pair."""


def run_part(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job of the parent."""
    import torch

    torch.set_num_threads(job["threads"])
    if job["part"] == "prepare":
        return dpo_rows.prepare(job)
    return charter_run(job) if job["part"] == "charter" else trl_run(job)


def _digest(rows: Sequence[Ids]) -> str:
    """Identity of the token ids and their order."""
    return hashlib.sha256(repr([[list(part) for part in row] for row in rows]).encode()).hexdigest()


def _logical(rows: Sequence[Ids]) -> int:
    """Tokens of both sides of every pair, prompts counted twice, padding not at all."""
    return sum(2 * len(prompt) + len(chosen) + len(rejected) for prompt, chosen, rejected in rows)


# -- Charter --------------------------------------------------------------------


def charter_run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train with the parts :class:`charter.training.loop.Loop` is made of, in the order of the rows."""
    from charter.catalogue.preference import DPO, DPOOptions
    from charter.data.formats import load_groups
    from charter.data.prepare import prepare as prepare_groups
    from charter.models.policy import load, prepare_for_training
    from charter.models.reference import ReferenceCache
    from charter.training.batch import split
    from charter.training.optimizer import learning_rate, make_optimizer
    from charter.training.references import Frozen
    from charter.training.scoring import Scorer
    from charter.training.step import Stepper
    from charter.training.terms import terms_of

    options = DPOOptions(
        learning_rate=LEARNING_RATE,
        beta=BETA,
        max_steps=job["steps"],
        per_device_train_batch_size=job["pairs"],
        lr_scheduler_type="constant",
        max_grad_norm=MAX_GRAD_NORM,
        bf16=job["dtype"] == "bf16",
    )
    policy = load(job["model"], bf16=options.bf16)
    groups = prepare_groups(load_groups(job["rows"]), policy.template).groups
    rows: list[Ids] = [
        (g.samples[0].context.token_ids, g.samples[0].completion.token_ids, g.samples[1].completion.token_ids)
        for g in groups
    ]
    prepare_for_training(policy, options)
    optimizer = make_optimizer(policy.trainable(), options)
    neighbours, clock = Neighbours(), Clock()
    reference = ReferenceCache(Path(job["work"]), "benchmark")
    reference.fill(policy, groups, options.tokens_per_microbatch)
    reference_span, loaded = clock.mark(), peak_mib()
    terms = terms_of(DPO, options)
    scorer = Scorer(policy, terms[0].objective.needs, Frozen(reference))
    stepper = Stepper(policy, terms, optimizer, scorer, options.max_grad_norm)
    spans, losses, norms, computed = [], [], [], []
    for step in range(job["steps"]):
        mine = groups[step * job["pairs"] : (step + 1) * job["pairs"]]
        rate = learning_rate(step, job["steps"], options)
        metrics = stepper.step(split(mine, options.tokens_per_microbatch), rate).metrics
        spans.append(clock.mark())
        losses.append(metrics["loss"])
        norms.append(metrics["grad_norm"])
        computed.append(int(metrics["tokens_computed"]))
    settings = {**options.model_dump(mode="json"), "weights": "float32", "compute": job["dtype"]}
    return _result(job, rows, spans, losses, norms, computed, reference_span, loaded, neighbours, settings)


# -- TRL ------------------------------------------------------------------------


def trl_run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train with ``trl.DPOTrainer``: its defaults, or tuned."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    clock = Clock()

    class Marks(TrainerCallback):
        """The end of every optimizer step; the time before the first is not part of it."""

        def __init__(self) -> None:
            self.spans: list[Span] = []

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            clock.mark()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.spans.append(clock.mark())

    class Watched(DPOTrainer):
        """The trainer as it is; what passes through is noted."""

        reference = Span(0.0, 0.0)

        def _precompute_ref_logps(self, *args: Any, **kwargs: Any) -> Any:
            clock.mark()
            found = super()._precompute_ref_logps(*args, **kwargs)
            self.reference = clock.mark()
            return found

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            seen.append((float(loss.detach()), inputs["input_ids"].numel()))
            return loss

        def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
            norm = super()._get_grad_norm(*args, **kwargs)
            norms.append(float(norm))
            return norm

    seen: list[tuple[float, int]] = []
    norms: list[float] = []
    rows = [json.loads(line) for line in Path(job["rows"]).read_text(encoding="utf-8").splitlines()]
    own = _tuned(job) if job["part"] == "trl-tuned" else {}
    if job["dtype"] == "fp32":
        own |= {"bf16": False, "model_init_kwargs": {"dtype": "float32"}}
    config = DPOConfig(
        output_dir=job["work"],
        use_cpu=True,
        max_steps=job["steps"],
        learning_rate=LEARNING_RATE,
        beta=BETA,
        max_grad_norm=MAX_GRAD_NORM,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **({"per_device_train_batch_size": job["pairs"]} | own),
    )
    neighbours = Neighbours()
    marks = Marks()
    trainer = Watched(
        model=job["model"],
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        callbacks=[marks],
    )
    loaded = peak_mib()
    trainer.train()
    ids: list[Ids] = [(r["prompt_ids"], r["chosen_ids"], r["rejected_ids"]) for r in trainer.train_dataset]
    parts = config.gradient_accumulation_steps
    micro = [seen[i : i + parts] for i in range(0, len(seen), parts)]
    losses = [sum(loss for loss, _ in step) / parts for step in micro]
    computed = [sum(size for _, size in step) for step in micro]
    settings = {**own, "weights": str(trainer.model.dtype).removeprefix("torch."), "bf16": config.bf16}
    settings |= {k: getattr(config, k) for k in _SHOWN}
    return _result(
        job, ids, marks.spans, losses, norms, computed, trainer.reference, loaded, neighbours, settings
    )


_SHOWN = (
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "precompute_ref_log_probs",
    "optim",
    "learning_rate",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
)


def _tuned(job: Mapping[str, Any]) -> dict[str, Any]:
    # A divisor of the pairs, so that every micro-batch weighs the same in the mean.
    micro = job["tuned_micro_batch"] or math.gcd(job["pairs"], TUNED_MICRO_BATCH[job["lengths"]])
    return {
        "model_init_kwargs": {"dtype": job["tuned_weights"]},
        "gradient_checkpointing": False,
        "precompute_ref_log_probs": True,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": job["pairs"] // micro,
    }


# -- what is reported -----------------------------------------------------------


def _result(
    job: Mapping[str, Any],
    rows: Sequence[Ids],
    spans: Sequence[Span],
    losses: Sequence[float],
    norms: Sequence[float],
    computed: Sequence[int],
    reference: Span,
    loaded_mib: float,
    neighbours: Neighbours,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """One trainer's report; see :func:`dpo_vs_trl.summary` for what is made of it."""
    pairs = job["pairs"]
    steps = [
        {
            "wall": round(span.wall, 4),
            "cpu": round(span.cpu, 4),
            "tokens": _logical(rows[i * pairs : (i + 1) * pairs]),
            "computed": size,
        }
        for i, (span, size) in enumerate(zip(spans, computed, strict=True))
    ]
    return {
        "variant": job["part"],
        "lengths": job["lengths"],
        "ids": _digest(rows),
        "losses": [round(loss, 7) for loss in losses],
        "grad_norms": [float(f"{norm:.6g}") for norm in norms],
        "steps": steps,
        "reference": {"wall": round(reference.wall, 4), "cpu": round(reference.cpu, 4)},
        "peak_mib": peak_mib(),
        "loaded_mib": loaded_mib,
        "neighbours": neighbours.seen(),
        "settings": dict(settings),
        "date": now(),
    }
