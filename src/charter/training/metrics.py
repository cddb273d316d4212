"""Metrics: always to metrics.jsonl, and to trackers through accelerate where asked."""

from __future__ import annotations

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
        """Log ``values`` of optimizer step ``step`` (1-based)."""
        append_jsonl(self._path, {"step": step, **{k: float(f"{v:.6g}") for k, v in values.items()}})
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


def open_trackers(names: Sequence[str], directory: Path, config: Mapping[str, Any]) -> list[Any]:
    """Open accelerate's trackers by name.

    Raises:
        ConfigError: unknown, or its package is not installed.
    """
    if not names:
        return []
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    available = {str(t.value if hasattr(t, "value") else t) for t in get_available_trackers()}
    opened = []
    for name in names:
        classes = {str(key): value for key, value in LOGGER_TYPE_TO_CLASS.items()}
        if name not in classes:
            raise ConfigError(f"report_to: no tracker {name!r}; {did_you_mean(name, classes)}")
        if name not in available:
            raise ConfigError(f"report_to: {name} is not installed", fix=f"pip install {name}")
        cls = classes[name]
        tracker = (
            cls("charter", logging_dir=str(directory)) if cls.requires_logging_directory else cls("charter")
        )
        if hasattr(tracker, "start"):
            tracker.start()
        simple = {k: v if isinstance(v, (int, float, str, bool)) else str(v) for k, v in config.items()}
        tracker.store_init_configuration(simple)
        opened.append(tracker)
    return opened
