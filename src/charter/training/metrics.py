"""Metrics: always to metrics.jsonl, and to trackers through accelerate where asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charter.errors import ConfigError, did_you_mean
from charter.progress import say
from charter.rundir import append_jsonl, read_jsonl, write_jsonl


class MetricsLog:
    """One JSON row per logged step.

    Args:
        path: the file; rows after ``step`` (from before a kill) are dropped.
        step: steps already taken.
        trackers: see :func:`open_trackers`.
    """

    def __init__(self, path: Path, step: int, trackers: Sequence[Any] = ()) -> None:
        self._path = path
        self._trackers = list(trackers)
        kept = [row for row in read_jsonl(path) if row["step"] <= step]
        if path.exists():
            write_jsonl(path, kept)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log ``values`` of optimizer step ``step`` (1-based); what is not finite is written as null."""
        append_jsonl(self._path, {"step": step, **{k: _rounded(v) for k, v in values.items()}})
        for tracker in list(self._trackers):
            try:
                tracker.log(dict(values), step=step)
            except Exception as error:  # a tracker's trouble never stops training
                self._trackers.remove(tracker)
                say(f"tracker {tracker.name} failed and is left out from here: {error}")

    def close(self) -> None:
        """Finish the trackers."""
        for tracker in self._trackers:
            try:
                tracker.finish()
            except Exception as error:
                say(f"tracker {tracker.name} did not close cleanly: {error}")


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that cannot be opened, before anything is computed.

    Raises:
        ConfigError: unknown, or its package is not installed.
    """
    if not names:
        return
    from accelerate.tracking import get_available_trackers

    available = {_name(tracker) for tracker in get_available_trackers()}
    classes = _classes()
    for name in names:
        if name not in classes:
            raise ConfigError(f"report_to: no tracker {name!r}; {did_you_mean(name, classes)}")
        if name not in available:
            raise ConfigError(f"report_to: {name} is not installed", fix=f"pip install {name}")


def open_trackers(names: Sequence[str], directory: Path, config: Mapping[str, Any]) -> list[Any]:
    """Open accelerate's trackers by name; one that does not open is left out, and said.

    Raises:
        ConfigError: see :func:`check_trackers`.
    """
    check_trackers(names)
    opened = []
    for name in names:
        try:
            opened.append(_open(_classes()[name], directory, config))
        except Exception as error:  # a tracker's trouble never stops training
            say(f"tracker {name} does not open and is left out: {error}")
    return opened


def _open(cls: Any, directory: Path, config: Mapping[str, Any]) -> Any:
    tracker = cls("charter", logging_dir=str(directory)) if cls.requires_logging_directory else cls("charter")
    if hasattr(tracker, "start"):
        tracker.start()
    simple = {k: v if isinstance(v, (int, float, str, bool)) else str(v) for k, v in config.items()}
    tracker.store_init_configuration(simple)
    return tracker


def _classes() -> dict[str, Any]:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    return {_name(key): value for key, value in LOGGER_TYPE_TO_CLASS.items()}


def _name(key: Any) -> str:
    return str(getattr(key, "value", key))


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
