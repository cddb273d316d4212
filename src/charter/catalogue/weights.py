"""Weights given by name on the command line and in YAML: ``name=weight``."""

from __future__ import annotations

from collections.abc import Sequence


def named_weights(written: Sequence[str]) -> dict[str, float]:
    """``["honest=0.3", "harmless=0.2"]`` as a mapping.

    Raises:
        ValueError: an entry that does not read ``name=weight``, a weight below 0, a name twice.
    """
    found: dict[str, float] = {}
    for text in written:
        name, equals, value = text.rpartition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if not equals or not name.strip() or not 0 <= weight < float("inf"):
            raise ValueError(f"{text!r} must look like name=weight, a weight of at least 0")
        if name.strip() in found:
            raise ValueError(f"{name.strip()!r} has two weights")
        found[name.strip()] = weight
    return found
