"""The parts of ``dpo_vs_trl.py`` that run in a process of their own: rows, Charter, TRL.

Every trainer reports the same things: losses, seconds and tokens of each
optimizer step, seconds of the reference pass, peak memory, and a digest of the
token ids it really trained on.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, Clock, Neighbours, Span, peak_mib

from charter.errors import UserError
from charter.rundir import now, write_jsonl

LEARNING_RATE, BETA, MAX_GRAD_NORM = 5e-6, 0.1, 1.0
SHORTEST = 8
"""No prompt or answer has fewer tokens than this."""
TUNED_MICRO_BATCH = {"equal": 8, "lognormal": 2, "check": 2}
"""Pairs per micro-batch of the tuned peer; see README.md for how they were found."""

Ids = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Prompt, chosen and rejected token ids of one pair."""


def run_part(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job of the parent."""
    import torch

    torch.set_num_threads(job["threads"])
    if job["part"] == "prepare":
        return prepare(job)
    return charter_run(job) if job["part"] == "charter" else trl_run(job)


# -- rows -----------------------------------------------------------------------


def prepare(job: Mapping[str, Any]) -> dict[str, Any]:
    """Fetch the model and write the rows all trainers read: ``{"model", "rows"}``, two paths.

    ``chosen`` is prose, ``rejected`` the words of prose in random order, so that
    there is something to learn and the loss curves move.
    """
    from transformers import AutoTokenizer

    folder = Path(job["folder"])
    model = _model_folder(job["model"], folder)
    tokenizer = AutoTokenizer.from_pretrained(str(model))
    rng = random.Random(f"dpo:{job['lengths']}")
    recipes = ROOT / "recipes" / "quickstart"
    prose = (recipes / "unrelated.txt").read_text(encoding="utf-8").split()
    questions = [
        word
        for line in (recipes / "train.jsonl").read_text(encoding="utf-8").splitlines()
        for word in json.loads(line)["prompt"][-1]["content"].split()
    ]
    rows = []
    for prompt, chosen, rejected in _lengths(job, rng):
        rows.append(
            {
                "prompt": _text(tokenizer, questions, prompt, rng),
                "chosen": " " + _text(tokenizer, prose, chosen - 1, rng, lead=" "),
                "rejected": " " + _text(tokenizer, prose, rejected - 1, rng, lead=" ", shuffled=True),
            }
        )
    path = folder / f"{job['lengths']}.jsonl"
    write_jsonl(path, rows)
    return {"model": str(model), "rows": str(path)}


def _model_folder(name: str, folder: Path) -> Path:
    from charter.models.hub import resolve
    from charter.testing import save_tiny

    if name != "tiny":
        return resolve(name)
    return Path(save_tiny(str(folder / "tiny"), max_position_embeddings=1024))


def _lengths(job: Mapping[str, Any], rng: random.Random) -> Iterator[tuple[int, int, int]]:
    """Tokens of prompt, chosen and rejected (with eos) of every pair; ``sigma`` 0 makes all equal."""

    def draw(median: int, most: int) -> int:
        return min(max(round(median * rng.lognormvariate(0, job["sigma"])), SHORTEST), most)

    def pair() -> tuple[int, int, int]:
        prompt = draw(job["prompt"], job["cap"] // 2)
        return prompt, draw(job["answer"], job["cap"] - prompt), draw(job["answer"], job["cap"] - prompt)

    for _ in range(job["steps"]):
        # Sorted inside a step, so that a peer that takes rows as they come pads little.
        yield from sorted((pair() for _ in range(job["pairs"])), key=lambda p: p[0] + max(p[1:]))


def _text(
    tokenizer: Any,
    words: Sequence[str],
    tokens: int,
    rng: random.Random,
    *,
    lead: str = "",
    shuffled: bool = False,
) -> str:
    """A passage of exactly ``tokens`` tokens after ``lead``, whose text encodes to the same ids."""
    for _ in range(200):
        start = rng.randrange(len(words))
        passage = [words[(start + i) % len(words)] for i in range(tokens)]
        if shuffled:
            rng.shuffle(passage)
        ids = tokenizer(lead + " ".join(passage), add_special_tokens=False)["input_ids"][:tokens]
        text: str = tokenizer.decode(ids)
        if len(ids) == tokens and tokenizer(text, add_special_tokens=False)["input_ids"] == ids:
            return text.removeprefix(lead)
    raise ValueError(f"no passage of {tokens} tokens found")


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
    loaded, neighbours, clock = peak_mib(), Neighbours(), Clock()
    reference = ReferenceCache(Path(job["work"]), "benchmark")
    reference.fill(policy, groups, options.tokens_per_microbatch)
    reference_span = clock.mark()
    stepper = Stepper(policy, terms_of(DPO, options), optimizer, reference, options.max_grad_norm)
    spans, losses, computed = [], [], []
    for step in range(job["steps"]):
        mine = groups[step * job["pairs"] : (step + 1) * job["pairs"]]
        rate = learning_rate(step, job["steps"], options)
        metrics = stepper.step(split(mine, options.tokens_per_microbatch), rate).metrics
        spans.append(clock.mark())
        losses.append(metrics["loss"])
        computed.append(int(metrics["tokens_computed"]))
    settings = {**options.model_dump(mode="json"), "weights": "float32", "compute": job["dtype"]}
    return _result(job, rows, spans, losses, computed, reference_span, loaded, neighbours, settings)


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

    seen: list[tuple[float, int]] = []
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
    return _result(job, ids, marks.spans, losses, computed, trainer.reference, loaded, neighbours, settings)


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
    micro = job["tuned_micro_batch"] or TUNED_MICRO_BATCH[job["lengths"]]
    if job["pairs"] % micro:
        raise UserError(f"{job['pairs']} pairs do not divide into micro-batches of {micro}")
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
        "steps": steps,
        "reference": {"wall": round(reference.wall, 4), "cpu": round(reference.cpu, 4)},
        "peak_mib": peak_mib(),
        "loaded_mib": loaded_mib,
        "neighbours": neighbours.seen(),
        "settings": dict(settings),
        "date": now(),
    }
