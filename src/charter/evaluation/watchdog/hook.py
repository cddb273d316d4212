"""The hook: reads the metrics of every step, says what looks wrong, and ends a run that has broken."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from charter.errors import ConfigError, did_you_mean
from charter.evaluation.watchdog.garbage import GarbagePays, GarbageProbe
from charter.evaluation.watchdog.heldout import HELD_OUT, PROXY, PROXY_THEN
from charter.evaluation.watchdog.memory import Memory
from charter.evaluation.watchdog.signal import Severity, Signal
from charter.evaluation.watchdog.signals import CLIPPED, FLAT, KL, KL_PER_TOKEN, LENGTH, SIGNALS
from charter.models.policy import Policy
from charter.progress import say
from charter.training.hooks import NOTHING, HookResult, Stop

ROUND = "rollouts/round"
"""Where a step's metrics hold it, metrics of a round are read once a round, not at every step of it."""

WATCHED = (
    "entropy",
    LENGTH,
    "completions/clipped_ratio",
    "completions/repetition",
    KL,
    FLAT,
    PROXY,
    "reward_std",
    HELD_OUT,
    CLIPPED,
)
"""Metrics that are read. :data:`CLIPPED` belongs to the step, the others to the round."""

CALM = 0.6
"""Weights are good to go back to while nothing that would pause has come this far on its way to alarm."""

_ROLLOUTS = "reward"
_MISSING_AFTER = 30


class Watchdog:
    """Watches the metrics of online training; see ``docs/watchdog.md``.

    A warning is said once. A pause ends training with the last weights of which nothing bad could
    be said. From the step an alarm is raised, ``watchdog/<signal>`` is written beside the metrics
    as long as it holds: 1 for a warning, 2 for a pause. Metrics that a run does not write are not
    watched, which is said once; one that is not a number is left out, and counted as
    ``watchdog/unreadable``.

    False alarms, by simulation (``tests/evaluation/watchdog_runs.py``: entropy falls 40%, length drifts
    20%, KL grows, batches of 64 completions): of 2,000 healthy runs of 300 steps none was ended and 3
    were warned about, all of the held-out reward; of 200 runs of 2,000 steps none and 5; of 500 runs
    of 300 steps with batches of 16 completions none and 6.

    Args:
        signals: what to watch.
        garbage: has planted garbage rewarded; None = not.
        pause: off = signals that would pause only warn.
        ignore: names of signals not to watch.
        keep_steps: optimizer steps between two copies of good weights.

    Raises:
        ConfigError: ``ignore`` names no signal.
    """

    name = "watchdog"

    def __init__(
        self,
        signals: Sequence[Signal] = SIGNALS,
        garbage: GarbageProbe | None = None,
        *,
        pause: bool = True,
        ignore: Collection[str] = (),
        keep_steps: int = 5,
    ) -> None:
        names = {signal.name for signal in signals}
        for name in ignore:
            if name not in names:
                raise ConfigError(f"the watchdog has no signal {name!r}; {did_you_mean(name, names)}")
        self.signals = [
            signal
            for signal in signals
            if signal.name not in ignore and (garbage is not None or not isinstance(signal.rule, GarbagePays))
        ]
        self.garbage, self.pause, self.keep_steps = garbage, pause, keep_steps
        self.memory = Memory()
        self.runs: dict[str, int] = {}
        self.excess: dict[str, float] = {}
        self.said: set[str] = set()
        self.kept_at, self.round = 0, -1.0

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        """See :class:`charter.training.hooks.Hook`."""
        unreadable = self._read(metrics)
        found = {"watchdog/unreadable": float(unreadable)} if unreadable else {}
        if self.garbage is not None and self.memory.fresh:
            found |= self.garbage.look(policy, step, self.memory)
        if not self.memory.fresh:
            return HookResult(found) if found else NOTHING
        self._count()
        self._say_missing()
        stop = None
        for signal in self._raised():
            level: Severity = signal.severity if self.pause else "warn"
            found[f"watchdog/{signal.name}"] = 2.0 if level == "pause" else 1.0
            words = f"{signal.name}: {signal.rule.words(self.memory)}, at step {step}"
            if level == "warn":
                self._say_once(signal.name, words)
            elif stop is None:
                stop = Stop(f"watchdog: {words}", go_back=True)
        return HookResult(found, well=self._well(step, stop is not None), stop=stop)

    def state(self) -> Any:
        """Everything it remembers."""
        return {
            "memory": self.memory.state(),
            "runs": self.runs,
            "excess": self.excess,
            "said": sorted(self.said),
            "kept_at": self.kept_at,
            "round": self.round,
            "probe": self.garbage.due if self.garbage else 0,
        }

    def restore(self, state: Any) -> None:
        """Take back what :meth:`state` gave."""
        self.memory.restore(state["memory"])
        self.runs = {name: int(count) for name, count in state["runs"].items()}
        self.excess = {name: float(value) for name, value in state["excess"].items()}
        self.said, self.kept_at, self.round = set(state["said"]), int(state["kept_at"]), float(state["round"])
        if self.garbage is not None:
            self.garbage.due = int(state["probe"])

    # -- reading -----------------------------------------------------------

    def _read(self, metrics: Mapping[str, float]) -> int:
        """Take what is new; how many metrics could not be read."""
        memory = self.memory
        memory.fresh = set()
        same_round = metrics.get(ROUND, -1.0) == self.round != -1.0
        self.round = metrics.get(ROUND, -1.0)
        new = [name for name in WATCHED if name in metrics and not (same_round and name != CLIPPED)]
        for name in new:
            memory.add(name, metrics[name])
        if {KL, LENGTH} <= memory.fresh:
            memory.add(KL_PER_TOKEN, metrics[KL] / max(metrics[LENGTH], 1.0))
        if HELD_OUT in memory.fresh and (proxy := memory.get(PROXY)) is not None:
            memory.add(PROXY_THEN, proxy.now)
        return sum(math.isnan(metrics[name]) for name in new)

    def _count(self) -> None:
        """For how many readings in a row each rule has alarmed."""
        for signal in self.signals:
            if signal.rule.metric in self.memory.fresh:
                excess = signal.rule.excess(self.memory)
                key = _key(signal)
                self.excess[key] = 0.0 if excess is None else excess
                self.runs[key] = self.runs.get(key, 0) + 1 if self.excess[key] >= 1 else 0

    def _raised(self) -> list[Signal]:
        """Signals that alarm now; of one name, the warning first."""
        return [s for s in self.signals if self.runs.get(_key(s), 0) >= s.patience]

    # -- what follows ------------------------------------------------------

    def _well(self, step: int, stopping: bool) -> bool | None:
        """Whether these weights are ones to go back to; None = not looked, as the last copy is young."""
        calm = all(self.excess.get(_key(s), 0.0) < CALM for s in self.signals if s.severity == "pause")
        if stopping or not calm:
            return False
        if step - self.kept_at < self.keep_steps:
            return None
        self.kept_at = step
        return True

    def _say_once(self, name: str, words: str) -> None:
        if name not in self.said:
            self.said.add(name)
            say(f"watchdog: {words}")

    def _say_missing(self) -> None:
        """Which signals have nothing to read, once it is clear that nothing comes."""
        reward = self.memory.get(_ROLLOUTS)
        if reward is None or reward.count < _MISSING_AFTER:
            return
        names = dict.fromkeys(s.name for s in self.signals if self.memory.get(s.rule.metric) is None)
        if names:
            self._say_once("missing", f"not watched, as the run writes no such metric: {', '.join(names)}")


def _key(signal: Signal) -> str:
    """What a signal's count is kept under."""
    return f"{signal.name}:{signal.severity}"
