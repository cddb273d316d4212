"""What the loop says to the person watching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.types import Group

_SHOWN = 80  # characters of a value

_OFFLINE = (("loss", "loss"), ("rewards/accuracies", "accuracy"), ("kl", "KL"))
_ONLINE = (("reward", "reward"), ("heldout_reward", "held out"), ("kl", "KL"), ("entropy", "entropy"))


def note(values: Mapping[str, float]) -> str:
    """The metrics behind the progress bar: of rollouts their reward, as their loss says nothing."""
    shown = _ONLINE if "reward" in values else _OFFLINE
    return "  ".join(f"{label} {values[key]:.3f}" for key, label in shown if key in values)


def rows_of(groups: Sequence[Group], most: int = 8) -> str:
    """Where the groups came from: ``file:line`` of the first ``most``."""
    names = [group.source or group.id or "?" for group in groups]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """How a checkpoint's fingerprint differs from this run's, each value before and now."""
    parts = [
        f"{k} was {str(old.get(k))[:_SHOWN]!r}, now {str(new.get(k))[:_SHOWN]!r}"
        for k in ("data", "model", "weights")
        if old.get(k) != new.get(k)
    ]
    before, now = old.get("options", {}), new.get("options", {})
    parts += [
        f"{k} was {before.get(k)!r}, now {now.get(k)!r}"
        for k in sorted({*before, *now})
        if before.get(k) != now.get(k)
    ]
    return "; ".join(parts) or "the format of the checkpoint"
