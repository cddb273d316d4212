"""A watch over online training: it says what looks wrong, and ends a run that has broken."""

from charter.evaluation.watchdog.garbage import GarbageProbe, reward_scorer
from charter.evaluation.watchdog.hook import Watchdog
from charter.evaluation.watchdog.signal import Severity, Signal
from charter.evaluation.watchdog.signals import SIGNALS

__all__ = ["SIGNALS", "GarbageProbe", "Severity", "Signal", "Watchdog", "reward_scorer"]
