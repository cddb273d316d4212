"""Metrics of a step that are not means over a term's own units, gathered over its micro-batches."""

from __future__ import annotations

from collections import defaultdict

from charter.objectives.base import Term


class Tally:
    """Adds up what terms report as ``ratios``, ``maxima`` and ``moments``."""

    def __init__(self) -> None:
        self._ratios: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._maxima: dict[str, float] = {}
        self._moments: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])

    def add(self, term: Term) -> None:
        """Take in one term of one micro-batch."""
        for name, (above, below) in term.ratios.items():
            self._ratios[name][0] += float(above)
            self._ratios[name][1] += float(below)
        for name, value in term.maxima.items():
            self._maxima[name] = max(self._maxima.get(name, float(value)), float(value))
        for name, sums in term.moments.items():
            self._moments[name] = [a + float(b) for a, b in zip(self._moments[name], sums, strict=True)]

    def metrics(self) -> dict[str, float]:
        """The step's metrics; a moment gives ``<name>/mean`` and ``<name>/std`` (population)."""
        found = {name: above / below for name, (above, below) in self._ratios.items() if below}
        found |= self._maxima
        for name, (total, squares, count) in self._moments.items():
            if count:
                mean = total / count
                found[f"{name}/mean"] = mean
                found[f"{name}/std"] = max(squares / count - mean**2, 0.0) ** 0.5
        return found
