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
from charter.errors import Interrupted, TrainingFault, UserError
from charter.interrupt import StopRequest, graceful
from charter.models.policy import Policy, prepare_for_training, save_policy
from charter.models.reference import ReferenceCache
from charter.models.reward import name_dimensions
from charter.objectives.base import Need, Remembers
from charter.progress import progress, say
from charter.rundir import read_json, read_jsonl, write_json
from charter.training import checkpoint
from charter.training.batch import Columns, split
from charter.training.hooks import Hook, Stop
from charter.training.messages import difference, note, rows_of
from charter.training.metrics import MetricsLog, check_trackers, open_trackers
from charter.training.optimizer import learning_rate, make_optimizer
from charter.training.references import Behaviour, Frozen, Moving, ReferenceLogps, ReferencePlan
from charter.training.scoring import Scorer
from charter.training.source import DatasetSource
from charter.training.step import Stepper, WeightedTerm
from charter.training.teacher import Teacher
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


METRICS = "metrics.jsonl"
RESULT = "train.json"
_TEACHER = "teacher/"
"""Before the names of a teacher's weights in a checkpoint."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How training ended.

    Attributes:
        steps: optimizer steps taken.
        planned: steps the options asked for.
        stopped_by: ``end of data``, or the reason a hook gave and which weights were kept.
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
        reference: what the terms that need a reference are held against.
        teacher: what the terms that need a teacher are distilled from.
        dimensions: outputs of the reward head to train; None = the language model is trained.
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
        reference: ReferencePlan | None = None,
        teacher: Teacher | None = None,
        dimensions: int | None = None,
    ) -> None:
        if options.eval_steps is not None and not eval_groups:
            raise UserError("eval_steps has no effect without evaluation data")
        if not groups:
            raise UserError("no groups to train on")
        check_trackers(options.report_to)
        self.policy, self.options, self.directory = policy, options, directory
        self.groups, self.eval_groups, self.hooks = groups, eval_groups, tuple(hooks)
        self.source = DatasetSource(groups, options.batch_size, options.seed)
        self.total = _total_steps(options, self.source)
        self.fingerprint = {
            "data": data_fingerprint,
            "model": policy.name,
            "weights": policy.digest(),
            "options": {k: v for k, v in options.model_dump(mode="json").items() if k not in _FREE},
        }
        prepare_for_training(policy, options, dimensions)
        self.optimizer = make_optimizer(policy.trainable(), options)
        needs = frozenset(need for term in terms for need in term.objective.needs)
        self.columns = Columns.of([*groups, *eval_groups], needs)
        if dimensions is not None:
            name_dimensions(policy.model, self.columns.dimensions)
        self.cache: ReferenceCache | None = None
        self.reference = self._reference(reference or ReferencePlan()) if Need.REFERENCE in needs else None
        if Need.TEACHER in needs and teacher is None:
            raise UserError(
                "a term needs a teacher, and this algorithm has none", fix="use context-distillation"
            )
        self.teacher = teacher
        scorer = Scorer(policy, needs, self.reference, teacher)
        self.stepper = Stepper(policy, terms, self.optimizer, scorer, options.max_grad_norm)
        self.done = 0
        self.good: dict[str, Tensor] = {}
        self.good_step = 0
        self.stopped: Stop | None = None
        self.last: dict[str, float] = {}
        # Metrics of a step whose evaluation and hooks are still to come.
        self.pending: dict[str, float] | None = None

    # -- running -----------------------------------------------------------

    def run(self, resume: Resume = "auto") -> TrainResult:
        """Train to the end, saving on the way.

        A run that had finished is not touched: its weights are loaded and its result returned.

        Args:
            resume: ``auto`` continues from the last checkpoint; ``never`` forgets them all.

        Raises:
            Interrupted: Ctrl-C; everything is saved.
            TrainingFault: loss or gradient not finite; the state before the step is saved.
            UserError: the directory holds a run of other data, model or options.
        """
        start = time.monotonic()
        # The caller's random numbers are neither used nor changed: dropout goes by the seed.
        with torch.random.fork_rng(devices=[]), graceful() as stop:
            torch.manual_seed(self.options.seed)
            try:
                return self._run(resume, stop, start)
            finally:
                self.policy.model.eval()

    def _run(self, resume: Resume, stop: StopRequest, start: float) -> TrainResult:
        self.directory.mkdir(parents=True, exist_ok=True)
        state = self._stored(resume)
        if state is None or not self._is_finished(state):
            self._score_reference()
        if state is not None:
            self._restore(state)
            if self._is_finished(state):
                return self._finished_before()
        elif self.hooks:
            self._keep_as_good()
        if self.done < self.total and self.stopped is None and state is not None:
            say(f"resuming after step {self.done} of {self.total}")
        began_at = self.done
        (self.directory / RESULT).unlink(missing_ok=True)
        trackers = open_trackers(self.options.report_to, self.directory, self.options.model_dump())
        log = MetricsLog(self.directory / METRICS, self.done, trackers)
        self.last = _last_row(self.directory / METRICS)
        try:
            self._steps(log, stop)
        finally:
            log.close()
        if self.stopped is not None and self.stopped.go_back:
            self._go_back()
        if state is None or self.done > began_at:
            self._save()
        return self._finish(time.monotonic() - start)

    def _steps(self, log: MetricsLog, stop: StopRequest) -> None:
        """Step until the end, a hook's wish to stop, or the person's."""
        try:
            with progress("train", self.total, done=self.done) as advance:
                if self.pending is not None:
                    self._look(log, self.pending)
                while self.done < self.total and self.stopped is None:
                    self._one_step(log)
                    advance(1, note=note(self.last))
                    if self.done < self.total and self.stopped is None:
                        stop.check()
        except Interrupted as interrupted:  # from here, or from a hook that was at work
            self._save()
            raise Interrupted(
                f"stopped at step {self.done} of {self.total}, saved",
                signum=interrupted.signum,
                fix="run the same command again to continue",
            ) from None
        except TrainingFault:
            if all(torch.isfinite(p).all() for p in self.policy.trainable().values()):
                self._save()
            raise

    def _one_step(self, log: MetricsLog) -> None:
        began = time.monotonic()
        groups = self.source.step(self.done)
        batches = split(groups, self.options.tokens_per_microbatch, self.columns)
        rate = learning_rate(self.done, self.total, self.options)
        rng = torch.get_rng_state()
        memories = [objective.state() for objective in self._remembering()]
        try:
            values = self.stepper.step(batches, rate).metrics
        except TrainingFault as fault:
            torch.set_rng_state(rng)  # as if the step had not been tried
            self._remember(memories)
            where = f"step {self.done + 1}, rows {rows_of(groups)}"
            raise TrainingFault(fault.what, where=where, fix=fault.fix) from None
        self.done += 1
        self.source.policy_updated(self.done)
        for other in (self.reference, self.teacher):
            if other is not None:
                other.after_step(self.policy, self.done)
        values["seconds"] = time.monotonic() - began
        values["epoch"] = self.done / self.source.steps_per_epoch
        self._look(log, values)
        if self.done % self.options.save_steps == 0 and self.done < self.total:
            self._save()

    def _look(self, log: MetricsLog, values: dict[str, float]) -> None:
        """Evaluation and hooks after a step, and its row of metrics."""
        self.pending = values
        found = self._after_step()
        self.pending = None
        self.last = {**values, **found}
        if found or self.done % self.options.logging_steps == 0 or self.done == self.total or self.stopped:
            log.write(self.done, self.last)

    def _after_step(self) -> dict[str, float]:
        values: dict[str, float] = {}
        every = self.options.eval_steps
        if every is not None and (self.done % every == 0 or self.done == self.total):
            batches = split(self.eval_groups, self.options.tokens_per_microbatch, self.columns)
            values |= {f"eval_{k}": v for k, v in self.stepper.evaluate(batches).items()}
        for hook in self.hooks:
            found = hook.after_step(self.policy, self.done, self.done == self.total)
            values |= found.metrics
            if found.well:
                self._keep_as_good()
            if found.stop is not None:
                self.stopped = found.stop
        return values

    def _finish(self, seconds: float) -> TrainResult:
        reason = self.stopped.reason if self.stopped else "end of data"
        if self.stopped is not None and self.stopped.go_back:
            reason += f"; kept the weights of step {self.good_step}"
        last = {name: value for name, value in self.last.items() if math.isfinite(value)}
        result = TrainResult(self.done, self.total, reason, seconds, last)
        save_policy(self.policy, self.directory / "model")
        write_json(self.directory / RESULT, asdict(result))
        return result

    # -- state -------------------------------------------------------------

    def _stored(self, resume: Resume) -> checkpoint.TrainState | None:
        """The checkpoint to continue from."""
        checkpoints = self.directory / "checkpoints"
        if resume == "never":
            checkpoint.clear(checkpoints)
        state = checkpoint.load_latest(checkpoints)
        if state is not None and state.fingerprint != self.fingerprint:
            raise UserError(
                "this run was started with something else: "
                + difference(state.fingerprint, self.fingerprint),
                where=str(self.directory),
                fix="use the same settings to resume, or another output directory",
            )
        return state

    def _is_finished(self, state: checkpoint.TrainState) -> bool:
        """Whether everything that a finished run leaves is there."""
        result = read_json(self.directory / RESULT) or {}
        return result.get("steps") == state.step and (self.directory / "model").is_dir()

    def _finished_before(self) -> TrainResult:
        if self.stopped is not None and self.stopped.go_back:
            self._go_back()
        say(f"this run had finished: {self.done} of {self.total} steps")
        return TrainResult(**(read_json(self.directory / RESULT) or {}))

    def _restore(self, state: checkpoint.TrainState) -> None:
        checkpoint.restore(state, self.policy.trainable(), self.optimizer)
        self.done = self.policy.version = state.step
        self.good = state.good
        self.good_step = state.extra["good_step"]
        self.pending = state.extra["pending"]
        if self.reference is not None:
            self.reference.load_state(state.reference)
        if self.teacher is not None:
            own = {k: v for k, v in state.reference.items() if k.startswith(_TEACHER)}
            self.teacher.load_state({k.removeprefix(_TEACHER): v for k, v in own.items()})
        self._remember(state.extra["memories"])
        for hook in self.hooks:
            if hook.name in state.extra["hooks"]:
                hook.restore(state.extra["hooks"][hook.name])
        stopped = state.extra["stopped"]
        self.stopped = Stop(**stopped) if stopped else None

    def _save(self) -> None:
        extra: dict[str, Any] = {
            "hooks": {hook.name: hook.state() for hook in self.hooks},
            "stopped": asdict(self.stopped) if self.stopped else None,
            "good_step": self.good_step,
            "pending": self.pending,
            "memories": [objective.state() for objective in self._remembering()],
        }
        state = checkpoint.capture(
            self.done,
            self.policy.trainable(),
            self.optimizer,
            self.good,
            extra,
            self.fingerprint,
            self._moving_weights(),
        )
        checkpoint.save(self.directory / "checkpoints", state, self.options.save_total_limit)

    def _keep_as_good(self) -> None:
        self.good = {name: p.detach().clone() for name, p in self.policy.trainable().items()}
        self.good_step = self.done

    def _go_back(self) -> None:
        if not self.good:
            return
        with torch.no_grad():
            for name, parameter in self.policy.trainable().items():
                parameter.copy_(self.good[name])
        self.policy.version = self.good_step

    # -- reference ---------------------------------------------------------

    def _reference(self, plan: ReferencePlan) -> ReferenceLogps:
        if plan.kind == "behaviour":
            return Behaviour()
        if plan.kind == "moving":
            return Moving(self.policy, plan.alpha, plan.every)
        parts = (self.fingerprint["weights"], self.policy.compute_dtype, self.fingerprint["data"])
        self.cache = ReferenceCache(self.directory, ":".join(map(str, parts)))
        return Frozen(self.cache)

    def _score_reference(self) -> None:
        """Score the reference now, while the policy still is it."""
        if self.cache is None:
            return
        groups = [*self.groups, *self.eval_groups]
        was_training = self.policy.model.training
        self.policy.model.eval()
        with progress("reference", len(groups)) as advance:
            self.cache.fill(self.policy, groups, self.options.tokens_per_microbatch, advance)
        self.policy.model.train(was_training)

    def _moving_weights(self) -> dict[str, Tensor]:
        """Weights of a reference and of a teacher that follow the policy."""
        found = {} if self.reference is None else self.reference.state()
        taught = {} if self.teacher is None else self.teacher.state()
        return {**found, **{_TEACHER + name: weight for name, weight in taught.items()}}

    def _remembering(self) -> list[Remembers]:
        """Objectives with a memory beyond the step."""
        return [t.objective for t in self.stepper.terms if isinstance(t.objective, Remembers)]

    def _remember(self, memories: Sequence[Mapping[str, float]]) -> None:
        """Put the memories of objectives back."""
        for objective, memory in zip(self._remembering(), memories, strict=True):
            objective.load_state(memory)


def _total_steps(options: TrainOptions, source: DatasetSource) -> int:
    if options.max_steps > 0:
        return options.max_steps
    return max(math.ceil(options.num_train_epochs * source.steps_per_epoch), 1)


def _last_row(path: Path) -> dict[str, float]:
    rows = read_jsonl(path)
    return {k: v for k, v in rows[-1].items() if k != "step" and v is not None} if rows else {}
