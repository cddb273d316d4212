"""The parts that run in a process of their own: rows, Charter, TRL.

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

import trl_rows
from common import Clock, Neighbours, Span, peak_mib
from trl_methods import METHODS, Ids

from charter.rundir import now

LEARNING_RATE, MAX_GRAD_NORM = 5e-6, 1.0
TUNED_MICRO_BATCH = {"equal": 8, "lognormal": 2, "check": 2}
"""Pairs per micro-batch of the tuned peer; see README.md for how they were found."""


def run_part(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job of the parent."""
    import torch

    torch.set_num_threads(job["threads"])
    if job["part"] == "prepare":
        return trl_rows.prepare(job)
    return charter_run(job) if job["part"] == "charter" else trl_run(job)


def _digest(rows: Sequence[Ids]) -> str:
    """Identity of the token ids and their order."""
    return hashlib.sha256(repr([[list(part) for part in row] for row in rows]).encode()).hexdigest()


# -- Charter --------------------------------------------------------------------


def charter_run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train with the parts :class:`charter.training.loop.Loop` is made of, in the order of the rows."""
    from charter.catalogue import lookup
    from charter.data.formats import load_groups
    from charter.data.prepare import prepare as prepare_groups
    from charter.models.load import load
    from charter.models.reference import ReferenceCache
    from charter.models.trainable import prepare_for_training
    from charter.objectives.base import Need
    from charter.training.batch import Columns, split
    from charter.training.optimizer import learning_rate, make_optimizer
    from charter.training.references import Frozen
    from charter.training.scoring import Scorer
    from charter.training.step import Stepper
    from charter.training.terms import by_name, terms_of

    method = METHODS[job["method"]]
    entry = lookup(method.entry)
    options = entry.options(
        learning_rate=LEARNING_RATE,
        **method.options,
        max_steps=job["steps"],
        per_device_train_batch_size=job["pairs"],
        lr_scheduler_type="constant",
        max_grad_norm=MAX_GRAD_NORM,
        bf16=job["dtype"] == "bf16",
    )
    policy = load(job["model"], bf16=options.bf16)
    groups = prepare_groups(load_groups(job["rows"], method.data), policy.template).groups
    rows = [method.ours(group) for group in groups]
    if entry.arrange:
        groups = tuple(by_name(entry.arrange)(groups, options))
    prepare_for_training(policy, options, 1 if entry.trains == "reward" else None)
    optimizer = make_optimizer(policy.trainable(), options)
    neighbours, clock = Neighbours(), Clock()
    terms = terms_of(entry, options)
    needs = frozenset(need for term in terms for need in term.objective.needs)
    reference = ReferenceCache(Path(job["work"]), "benchmark")
    if Need.REFERENCE in needs:
        reference.fill(policy, groups, options.tokens_per_microbatch)
    reference_span, loaded = clock.mark(), peak_mib()
    columns = Columns.of(groups, needs)
    scorer = Scorer(policy, needs, Frozen(reference))
    stepper = Stepper(policy, terms, optimizer, scorer, options.max_grad_norm)
    spans, losses, norms, computed = [], [], [], []
    for step in range(job["steps"]):
        mine = groups[step * job["pairs"] : (step + 1) * job["pairs"]]
        rate = learning_rate(step, job["steps"], options)
        metrics = stepper.step(split(mine, options.tokens_per_microbatch, columns), rate).metrics
        spans.append(clock.mark())
        losses.append(metrics["loss"])
        norms.append(metrics["grad_norm"])
        computed.append(int(metrics["tokens_computed"]))
    settings = {**options.model_dump(mode="json"), "weights": "float32", "compute": job["dtype"]}
    return _result(job, rows, spans, losses, norms, computed, reference_span, loaded, neighbours, settings)


# -- TRL ------------------------------------------------------------------------


def trl_run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train with TRL's trainer: its defaults, or tuned."""
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback

    method = METHODS[job["method"]]
    trainer_class, config_class = (getattr(trl, name) for name in method.trainer)
    clock = Clock()

    class Marks(TrainerCallback):
        """The end of every optimizer step; the time before the first is not part of it."""

        def __init__(self) -> None:
            self.spans: list[Span] = []

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            clock.mark()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.spans.append(clock.mark())

    class Watched(trainer_class):  # type: ignore[misc, valid-type]
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
    config = config_class(
        output_dir=job["work"],
        use_cpu=True,
        max_steps=job["steps"],
        learning_rate=LEARNING_RATE,
        max_grad_norm=MAX_GRAD_NORM,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **({"per_device_train_batch_size": job["pairs"], **method.options, **method.peer_options} | own),
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
    ids: list[Ids] = [method.theirs(row) for row in trainer.train_dataset]
    parts = config.gradient_accumulation_steps
    micro = [seen[i : i + parts] for i in range(0, len(seen), parts)]
    share = parts if method.micro_losses == "mean" else 1
    losses = [sum(loss for loss, _ in step) / share for step in micro]
    computed = [sum(size for _, size in step) for step in micro]
    settings = {**own, "weights": str(trainer.model.dtype).removeprefix("torch."), "bf16": config.bf16}
    settings |= {k: getattr(config, k) for k in _SHOWN if hasattr(config, k)}
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
    reference = {"precompute_ref_log_probs": True} if METHODS[job["method"]].precomputes else {}
    return {
        "model_init_kwargs": {"dtype": job["tuned_weights"]},
        "gradient_checkpointing": False,
        **reference,
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
    """One trainer's report; see :func:`trl_verdict.summary` for what is made of it."""
    pairs = job["pairs"]
    steps = [
        {
            "wall": round(span.wall, 4),
            "cpu": round(span.cpu, 4),
            "tokens": sum(map(METHODS[job["method"]].logical, rows[i * pairs : (i + 1) * pairs])),
            "computed": size,
        }
        for i, (span, size) in enumerate(zip(spans, computed, strict=True))
    ]
    return {
        "method": job["method"],
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
