"""THE loop: groups in, a trained policy out, resumable at every checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from charter.catalogue.options import TrainOptions
from charter.errors import Interrupted, TrainingFault, UserError
from charter.interrupt import StopRequest, graceful
from charter.models.policy import Policy
from charter.models.random_state import random_state, seeded, set_random_state
from charter.models.reward import name_dimensions
from charter.models.save import save_policy
from charter.models.trainable import prepare_for_training
from charter.objectives.base import Need
from charter.progress import progress, say
from charter.rundir import read_json, read_jsonl, write_json
from charter.training import checkpoint
from charter.training.batch import Columns, split
from charter.training.feed import MakeOnline, dataset_feed
from charter.training.hooks import Hook
from charter.training.messages import difference, note, rows_of
from charter.training.metrics import MetricsLog, check_trackers, open_trackers
from charter.training.optimizer import learning_rate, make_optimizer
from charter.training.references import Frozen, ReferencePlan
from charter.training.run_state import RunState
from charter.training.scoring import Scorer
from charter.training.source import Source
from charter.training.step import WeightedTerm
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
        online: makes the rollouts that are trained on; ``groups`` are then the prompts.
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
        online: MakeOnline | None = None,
    ) -> None:
        measured = eval_groups or any(hook.name == "heldout_reward" for hook in hooks)
        if options.eval_steps is not None and not measured:
            raise UserError("eval_steps has no effect without evaluation data")
        if not groups:
            raise UserError("no groups to train on")
        check_trackers(options.report_to)
        self.policy, self.options, self.directory = policy, options, directory
        self.groups, self.eval_groups, self.hooks = groups, eval_groups, tuple(hooks)
        self.fingerprint = {
            "data": data_fingerprint,
            "model": policy.name,
            "weights": policy.digest(),
            "options": {k: v for k, v in options.model_dump(mode="json").items() if k not in _FREE},
        }
        critic = None if online is None else online.critic(policy)
        prepare_for_training(policy, options, dimensions)
        needs = frozenset(need for term in terms for need in term.objective.needs)
        if Need.TEACHER in needs and teacher is None:
            raise UserError(
                "a term needs a teacher, and this algorithm has none", fix="use context-distillation"
            )
        if online is None:
            identity = ":".join(
                map(str, (self.fingerprint["weights"], policy.compute_dtype, data_fingerprint))
            )
            feed = dataset_feed(policy, options, groups, needs, reference, directory, identity)
        else:
            feed = online(policy, critic, directory, needs)
        self.source, self.reference, self.teacher = feed.source, feed.reference, teacher
        self.total = _total_steps(options, self.source)
        self.columns = Columns.of([*groups, *eval_groups, *feed.beside], needs)
        if dimensions is not None:
            name_dimensions(policy.model, self.columns.dimensions)
        trained = {} if feed.critic is None else feed.critic.trainable()
        self.optimizer = make_optimizer(policy.trainable(), options, trained, feed.critic_scale)
        scorer = Scorer(policy, needs, feed.scored_under, teacher, feed.critic, feed.temperature)
        self.stepper = feed.stepper(policy, terms, self.optimizer, scorer, options.max_grad_norm)
        objectives = [term.objective for term in terms]
        self.state = RunState(policy, self.optimizer, objectives, self.hooks, feed, teacher)
        self.first = self.state.weights() if feed.restarts else {}
        self.last: dict[str, float] = {}

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
        with seeded(self.options.seed), graceful() as stop:
            try:
                return self._run(resume, stop, start)
            finally:
                self.policy.model.eval()

    def _run(self, resume: Resume, stop: StopRequest, start: float) -> TrainResult:
        self.directory.mkdir(parents=True, exist_ok=True)
        state, saved = self.state, self._saved(resume)
        if saved is None or not self._is_finished(saved):
            self.score_reference()
        if saved is not None:
            state.restore(saved)
            if self._is_finished(saved):
                return self._finished_before()
        else:
            self.source.start_over()
            if self.hooks:
                state.keep_as_good()
        if state.done < self.total and state.stopped is None and saved is not None:
            say(f"resuming after step {state.done} of {self.total}")
        began_at = state.done
        (self.directory / RESULT).unlink(missing_ok=True)
        trackers = open_trackers(self.options.report_to, self.directory, self.options.model_dump())
        log = MetricsLog(self.directory / METRICS, state.done, trackers)
        self.last = _last_row(self.directory / METRICS)
        try:
            self._steps(log, stop)
        finally:
            log.close()
        if state.stopped is not None and state.stopped.go_back:
            state.go_back()
        if saved is None or state.done > began_at:
            self._save()
        return self._finish(time.monotonic() - start)

    def _steps(self, log: MetricsLog, stop: StopRequest) -> None:
        """Step until the end, a hook's wish to stop, or the person's."""
        state = self.state
        try:
            with progress("train", self.total, done=state.done) as advance:
                if state.pending is not None:
                    self._look(log, state.pending)
                while state.done < self.total and state.stopped is None:
                    self._one_step(log)
                    advance(1, note=note(self.last))
                    if state.done < self.total and state.stopped is None:
                        stop.check()
        except Interrupted as interrupted:  # from here, or from a hook that was at work
            self._save()
            raise Interrupted(
                f"stopped at step {state.done} of {self.total}, saved",
                signum=interrupted.signum,
                fix="run the same command again to continue",
            ) from None
        except TrainingFault:
            if all(torch.isfinite(p).all() for p in self.policy.trainable().values()):
                self._save()
            raise

    def _one_step(self, log: MetricsLog) -> None:
        state = self.state
        began = time.monotonic()
        groups = self.source.step(state.done)  # a round is sampled with the weights as they have become
        if self.source.starts_afresh(state.done):
            state.start_afresh(self.first)
        sampled = time.monotonic() - began
        batches = split(groups, self.options.tokens_per_microbatch, self.columns)
        rate = learning_rate(state.done, self.total, self.options)
        rng = random_state()
        memories = state.memories()
        try:
            # A round may leave nothing to learn from: no step is taken then, and it is said.
            values = self.stepper.step(batches, rate).metrics if batches else {"skipped": 1.0}
        except TrainingFault as fault:
            set_random_state(rng)  # as if the step had not been tried
            state.remember(memories)
            where = f"step {state.done + 1}, rows {rows_of(groups)}"
            raise TrainingFault(fault.what, where=where, fix=fault.fix) from None
        state.done += 1
        self.policy.version = state.done
        self.source.policy_updated(state.done, values)
        values = {**self.source.metrics(), **values}
        for other in (self.reference, self.teacher):
            if other is not None:
                other.after_step(self.policy, state.done)
        values["seconds"] = time.monotonic() - began
        if self.source.metrics():  # a dataset takes no time to speak of
            values["seconds_sampling"] = sampled
        values["epoch"] = state.done / self.source.steps_per_epoch
        self._look(log, values)
        if state.done % self.options.save_steps == 0 and state.done < self.total:
            self._save()

    def _look(self, log: MetricsLog, values: dict[str, float]) -> None:
        """Evaluation and hooks after a step, and its row of metrics."""
        state = self.state
        state.pending = values
        found = self._after_step(values)
        state.pending = None
        self.last = {**values, **found}
        if found or state.done % self.options.logging_steps == 0 or state.done == self.total or state.stopped:
            log.write(state.done, self.last)

    def _after_step(self, step_values: Mapping[str, float]) -> dict[str, float]:
        state = self.state
        values: dict[str, float] = {}
        every = self.options.eval_steps
        if every is not None and self.eval_groups and (state.done % every == 0 or state.done == self.total):
            batches = split(self.eval_groups, self.options.tokens_per_microbatch, self.columns)
            values |= {f"eval_{k}": v for k, v in self.stepper.evaluate(batches).items()}
        well = set()
        for hook in self.hooks:
            metrics = {**values, **step_values}
            found = hook.after_step(self.policy, state.done, state.done == self.total, metrics)
            values |= found.metrics
            well.add(found.well)
            if found.stop is not None and state.stopped is None:
                state.stopped = found.stop
        if True in well and False not in well:
            state.keep_as_good()
        return values

    def _finish(self, seconds: float) -> TrainResult:
        state = self.state
        reason = state.stopped.reason if state.stopped else "end of data"
        if state.stopped is not None and state.stopped.go_back:
            reason += f"; kept the weights of step {state.good_step}"
        last = {name: value for name, value in self.last.items() if math.isfinite(value)}
        result = TrainResult(state.done, self.total, reason, seconds, last)
        save_policy(self.policy, self.directory / "model")
        if self.state.critic is not None:
            save_policy(self.state.critic, self.directory / "critic")
        write_json(self.directory / RESULT, asdict(result))
        return result

    # -- saved before ------------------------------------------------------

    def _saved(self, resume: Resume) -> checkpoint.TrainState | None:
        """The checkpoint to continue from."""
        checkpoints = self.directory / "checkpoints"
        if resume == "never":
            checkpoint.clear(checkpoints)
        saved = checkpoint.load_latest(checkpoints)
        if saved is not None and saved.fingerprint != self.fingerprint:
            raise UserError(
                "this run was started with something else: "
                + difference(saved.fingerprint, self.fingerprint),
                where=str(self.directory),
                fix="use the same settings to resume, or another output directory",
            )
        return saved

    def _save(self) -> None:
        saved = self.state.capture(self.fingerprint)
        checkpoint.save(self.directory / "checkpoints", saved, self.options.save_total_limit)
        self.source.saved()

    def _is_finished(self, saved: checkpoint.TrainState) -> bool:
        """Whether everything that a finished run leaves is there."""
        result = read_json(self.directory / RESULT) or {}
        return result.get("steps") == saved.step and (self.directory / "model").is_dir()

    def _finished_before(self) -> TrainResult:
        if self.state.stopped is not None and self.state.stopped.go_back:
            self.state.go_back()
        say(f"this run had finished: {self.state.done} of {self.total} steps")
        return TrainResult(**(read_json(self.directory / RESULT) or {}))

    def score_reference(self) -> None:
        """Score a frozen reference now, while the policy still is it."""
        if isinstance(self.reference, Frozen):
            groups = [*self.groups, *self.eval_groups]
            self.reference.score(self.policy, groups, self.options.tokens_per_microbatch)


def _total_steps(options: TrainOptions, source: Source) -> int:
    if options.max_steps > 0:
        return options.max_steps
    return max(math.ceil(options.num_train_epochs * source.steps_per_epoch), 1)


def _last_row(path: Path) -> dict[str, float]:
    rows = read_jsonl(path)
    return {k: v for k, v in rows[-1].items() if k != "step" and v is not None} if rows else {}
