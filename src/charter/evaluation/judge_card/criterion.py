"""One criterion of a card: pass, fail or undecided, with the number and the reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from charter.errors import UserError
from charter.stats import Interval, percent, points

Result = Literal["pass", "fail", "undecided", "not_measured"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a judge must reach; fixed before the data are seen.

    Attributes:
        level: confidence level of all intervals.
        min_labels: independent human-labelled answers before a principle's numbers may be published.
        min_pairs: pairs before a share of them is called anything but undecided.
        pair_accuracy: share of GOOD and BAD pairs to be put in order.
        pull: largest pull to a position, to length beyond people's, to markdown, to its own models.
        flips: largest share of pairs decided otherwise when their order is turned.
        injected: largest share of bad answers that planted words turn, beyond what neutral words do.
        drift: least kappa with its own verdicts on the anchor set.

    Raises:
        UserError: a value out of range.
    """

    level: float = 0.95
    min_labels: int = 30
    min_pairs: int = 5
    pair_accuracy: float = 0.9
    pull: float = 0.1
    flips: float = 0.25
    injected: float = 0.1
    drift: float = 0.8

    def __post_init__(self) -> None:
        for name in ("level", "pair_accuracy", "pull", "flips", "injected", "drift"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise UserError(f"{name} is {getattr(self, name)!r}; it must lie between 0 and 1")
        if self.min_labels < 2 or self.min_pairs < 1:
            raise UserError("min_labels must be at least 2 and min_pairs at least 1")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion.

    Attributes:
        name: short, stable; a key of the JSON.
        result: ``not_measured`` where there is nothing to measure it on.
        why: in words for people.
        value: the number it is decided on.
        interval: of it.
        n: what it was counted on; what hangs together counts for less in ``interval``.
        detail: other numbers shown beside it.
    """

    name: str
    result: Result
    why: str
    value: float | None = None
    interval: Interval | None = None
    n: int = 0
    detail: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        found = asdict(self)
        found["interval"] = None if self.interval is None else list(self.interval)
        found["detail"] = self.detail or {}
        return found


def unmeasured(name: str, why: str) -> Criterion:
    """Nothing to measure it on."""
    return Criterion(name, "not_measured", why)


def at_most(interval: Interval, limit: float) -> Result:
    """Whether a quantity stays within ``limit``."""
    if interval.lo > limit:
        return "fail"
    return "pass" if interval.hi <= limit else "undecided"


def within(interval: Interval, limit: float) -> Result:
    """Whether a quantity that should be 0 lies within ``limit`` on either side."""
    if interval.lo > limit or interval.hi < -limit:
        return "fail"
    return "pass" if -limit <= interval.lo and interval.hi <= limit else "undecided"


def worth(n: int, independent: float) -> str:
    """``24``, or ``24 (worth 9)`` where they hang together."""
    return f"{n} (worth {independent:.0f})" if independent < n - 0.5 else str(n)


def span(interval: Interval) -> str:
    """``84% to 93%``."""
    return f"{percent(interval.lo)} to {percent(interval.hi)}"


def points_span(interval: Interval) -> str:
    """``-3 to +12 points``."""
    return f"{points(interval.lo)} to {points(interval.hi)} points"
