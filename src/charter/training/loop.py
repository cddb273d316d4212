"""THE loop: groups in, a trained policy out, resumable at every checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from charter.catalogue.options import TrainOptions
from charter.errors import EnvironmentFault, Interrupted, TrainingFault, UserError
from charter.interrupt import graceful
from charter.models.policy import Policy, prepare_for_training
from charter.models.reference import ReferenceCache
from charter.objectives.base import Need
from charter.progress import progress, say
from charter.rundir import read_jsonl, write_json
from charter.training import checkpoint
from charter.training.batch import split
from charter.training.hooks import Hook, Stop
from charter.training.metrics import MetricsLog, open_trackers
from charter.training.optimizer import learning_rate, make_optimizer
from charter.training.source import DatasetSource
from charter.training.step import Stepper, WeightedTerm
from charter.types import Group

Resume = Literal["auto", "never"]

# Options that may change between a run and its resumption: they do not touch the weights.
_FREE = {
    "save_steps",
    "save_total_limit",
    "logging_steps",
    "report_to",
    "eval_steps",
    "tokens_per_microbatch",
}


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How training ended.

    Attributes:
        steps: optimizer steps taken.
        planned: steps the options asked for.
        stopped_by: ``end of data``, or the reason a hook gave.
        seconds: time in this process.
        last: metrics of the last step.
    """

    steps: int
    planned: int
    stopped_by: str
    seconds: float
    last: Mapping[str, float]


class Loop:
    """One training run over a dataset.

    Args:
        policy: trained in place.
        terms: the loss.
        options: see :class:`charter.catalogue.options.TrainOptions`.
        groups: rendered training groups.
        directory: ``metrics.jsonl``, ``checkpoints/``, ``model/`` and the reference cache go here.
        data_fingerprint: identity of the groups; resuming on other data is refused.
        eval_groups: rendered groups for ``eval_steps``.
        hooks: see :mod:`charter.training.hooks`.
    """

    def __init__(
        self,
        policy: Policy,
        terms: Sequence[WeightedTerm],
        options: TrainOptions,
        groups: Sequence[Group],
        directory: Path,
        *,
        data_fingerprint: str,
        eval_groups: Sequence[Group] = (),
        hooks: Sequence[Hook] = (),
    ) -> None:
        if options.eval_steps is not None and not eval_groups:
            raise UserError("eval_steps has no effect without evaluation data")
        self.policy, self.options, self.directory = policy, options, directory
        self.groups, self.eval_groups, self.hooks = groups, eval_groups, tuple(hooks)
        self.source = DatasetSource(groups, options.batch_size, options.seed)
        self.total = _total_steps(options, self.source)
        self.fingerprint = {
            "data": data_fingerprint,
            "model": policy.name,
            "options": {k: v for k, v in options.model_dump(mode="json").items() if k not in _FREE},
        }
        prepare_for_training(policy, options)
        self.optimizer = make_optimizer(policy.trainable(), options)
        reference = self._reference(terms)
        self.stepper = Stepper(policy, terms, self.optimizer, reference, options.max_grad_norm)
        self.done = 0
        self.good: dict[str, Tensor] = {}
        self.stopped: Stop | None = None
        self.last: dict[str, float] = {}

    # -- running -----------------------------------------------------------

    def run(self, resume: Resume = "auto") -> TrainResult:
        """Train to the end, saving on the way.

        Raises:
            Interrupted: Ctrl-C; everything is saved.
            TrainingFault: loss or gradient not finite; the state before the step is saved.
        """
        start = time.monotonic()
        if resume == "auto":
            self._resume()
        trackers = open_trackers(self.options.report_to, self.directory, self.options.model_dump())
        log = MetricsLog(self.directory / "metrics.jsonl", self.done, trackers)
        self.last = self.last or _last_row(self.directory / "metrics.jsonl")
        try:
            with graceful() as stop, progress("train", self.total, done=self.done) as advance:
                while self.done < self.total and self.stopped is None:
                    self._one_step(log)
                    advance(1, note=_note(self.last))
                    if stop.requested and self.done < self.total and self.stopped is None:
                        self._save()
                        raise Interrupted(
                            f"stopped at step {self.done} of {self.total}, saved",
                            signum=stop.signum or 2,
                            fix="run the same command again to continue",
                        )
        except TrainingFault:
            self._save()
            raise
        finally:
            log.close()
        if self.stopped is not None and self.stopped.go_back and self.good:
            self._set_weights(self.good)
        self._save()
        result = TrainResult(
            steps=self.done,
            planned=self.total,
            stopped_by=self.stopped.reason if self.stopped else "end of data",
            seconds=time.monotonic() - start,
            last=self.last,
        )
        save_policy(self.policy, self.directory / "model")
        write_json(self.directory / "train.json", asdict(result))
        return result

    def _one_step(self, log: MetricsLog) -> None:
        began = time.monotonic()
        batches = split(self.source.step(self.done), self.options.tokens_per_microbatch)
        rate = learning_rate(self.done, self.total, self.options)
        values = self.stepper.step(batches, rate).metrics
        self.done += 1
        self.source.policy_updated(self.done)
        values["seconds"] = time.monotonic() - began
        values["epoch"] = self.done / self.source.steps_per_epoch
        values |= self._after_step()
        self.last = values
        if self.done % self.options.logging_steps == 0 or self.done == self.total or self.stopped:
            log.write(self.done, values)
        if self.done % self.options.save_steps == 0 and self.done < self.total:
            self._save()

    def _after_step(self) -> dict[str, float]:
        """Evaluation and hooks."""
        values: dict[str, float] = {}
        every = self.options.eval_steps
        if every is not None and (self.done % every == 0 or self.done == self.total):
            batches = split(self.eval_groups, self.options.tokens_per_microbatch)
            values |= {f"eval_{k}": v for k, v in self.stepper.evaluate(batches).items()}
        for hook in self.hooks:
            found = hook.after_step(self.policy, self.done, self.done == self.total)
            values |= found.metrics
            if found.well:
                self.good = {k: p.detach().clone() for k, p in self.policy.trainable().items()}
            if found.stop is not None:
                self.stopped = found.stop
        return values

    # -- state -------------------------------------------------------------

    def _resume(self) -> None:
        state = checkpoint.load_latest(self.directory / "checkpoints")
        if state is None:
            return
        if state.fingerprint != self.fingerprint:
            raise UserError(
                "this run was started with something else: "
                + _difference(state.fingerprint, self.fingerprint),
                where=str(self.directory),
                fix="use the same settings to resume, or another output directory",
            )
        checkpoint.restore(state, self.policy.trainable(), self.optimizer)
        self.done = self.policy.version = state.step
        self.good = state.good
        for hook in self.hooks:
            if hook.name in state.extra:
                hook.restore(state.extra[hook.name])
        stopped = state.extra.get("stopped")
        self.stopped = Stop(**stopped) if stopped else None
        if self.done < self.total and self.stopped is None:
            say(f"resuming after step {self.done} of {self.total}")

    def _save(self) -> None:
        extra: dict[str, Any] = {hook.name: hook.state() for hook in self.hooks}
        extra["stopped"] = asdict(self.stopped) if self.stopped else None
        state = checkpoint.capture(
            self.done, self.policy.trainable(), self.optimizer, self.good, extra, self.fingerprint
        )
        checkpoint.save(self.directory / "checkpoints", state, self.options.save_total_limit)

    def _set_weights(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.policy.trainable().items():
                parameter.copy_(weights[name])

    def _reference(self, terms: Sequence[WeightedTerm]) -> ReferenceCache | None:
        """Score the reference now, while the policy still is it."""
        if not any(Need.REFERENCE in term.objective.needs for term in terms):
            return None
        tag = f"{self.policy.name}:{self.policy.compute_dtype}:{self.fingerprint['data']}"
        cache = ReferenceCache(self.directory, tag)
        groups = [*self.groups, *self.eval_groups]
        was_training = self.policy.model.training
        self.policy.model.eval()
        with progress("reference", len(groups)) as advance:
            cache.fill(self.policy, groups, self.options.tokens_per_microbatch, advance)
        self.policy.model.train(was_training)
        return cache


def save_policy(policy: Policy, directory: Path) -> None:
    """Save what was trained so that plain transformers (and peft) load it.

    Raises:
        TrainingFault: a weight is not finite; nothing is written.
        EnvironmentFault: the disk refuses.
    """
    for name, parameter in policy.trainable().items():
        if not torch.isfinite(parameter).all():
            raise TrainingFault(f"{name} holds NaN or infinity: the model is not saved")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        policy.model.save_pretrained(str(directory), safe_serialization=True)
        policy.tokenizer.save_pretrained(str(directory))
    except OSError as error:
        raise EnvironmentFault(f"cannot save the model: {error}", where=str(directory)) from None


def _total_steps(options: TrainOptions, source: DatasetSource) -> int:
    if options.max_steps > 0:
        return options.max_steps
    return max(math.ceil(options.num_train_epochs * source.steps_per_epoch), 1)


def _note(values: Mapping[str, float]) -> str:
    shown = [("loss", "loss"), ("rewards/accuracies", "accuracy"), ("kl", "KL")]
    return "  ".join(f"{label} {values[key]:.3f}" for key, label in shown if key in values)


def _last_row(path: Path) -> dict[str, float]:
    rows = read_jsonl(path)
    return dict(rows[-1]) if rows else {}


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    parts = [f"{k} changed" for k in ("data", "model") if old.get(k) != new.get(k)]
    before, now = old.get("options", {}), new.get("options", {})
    parts += [
        f"{k} was {before.get(k)!r}, now {now.get(k)!r}"
        for k in sorted({*before, *now})
        if before.get(k) != now.get(k)
    ]
    return "; ".join(parts) or "the format of the checkpoint"
