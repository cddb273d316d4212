"""Several judges, of which those of the answerer's family do not vote."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.errors import ConfigError
from charter.feedback.judging.ask import Judge
from charter.feedback.judging.opinion import Opinion
from charter.feedback.judging.vote import How, vote

SelfFamily = Literal["forbid", "allow"]


@dataclass(frozen=True)
class Panel:
    """Who judges, and how their opinions become one (panels of judges: 2404.18796).

    Attributes:
        judges: different models.
        self_family: ``forbid``: a judge does not judge answers of a model of its own family.
        minimum: fewest judges that must have spoken.
        how: see :data:`charter.feedback.judging.vote.How`.

    Raises:
        ConfigError: no judge, two of one name, or fewer than ``minimum``.
    """

    judges: tuple[Judge, ...]
    self_family: SelfFamily = "forbid"
    minimum: int = 1
    how: How = "majority"

    def __post_init__(self) -> None:
        if not self.judges:
            raise ConfigError("no judge", where="judge")
        if self.minimum < 1:
            raise ConfigError(f"panel_min must be at least 1, not {self.minimum}", where="panel_min")
        if len(self.judges) < self.minimum:
            raise ConfigError(
                f"a panel of {self.minimum} is asked for, and {len(self.judges)} judges are given",
                where="panel_min",
                fix="name more judges, or lower panel_min",
            )

    @property
    def name(self) -> str:
        """The judges' names.

        Raises:
            ConfigError: two judges of one name, whose agreement would mean nothing.
        """
        names = [judge.name for judge in self.judges]
        if len(set(names)) < len(names):
            raise ConfigError(f"the same judge twice: {', '.join(sorted(names))}", where="judge")
        return "+".join(names)

    def may_judge(self, judge: Judge, answerer: str) -> bool:
        """Whether ``judge`` may judge answers of the family ``answerer``; "" = nobody knows the family."""
        return self.self_family == "allow" or not answerer or judge.family.casefold() != answerer.casefold()

    def decide(
        self,
        answerers: Sequence[Collection[str]],
        ask: Callable[[Judge, Sequence[int]], Sequence[Opinion]],
    ) -> list[Opinion]:
        """The panel's opinion of each thing.

        Args:
            answerers: the families that wrote each thing: one, or two of a pair.
            ask: what a judge says of the things at some places.
        """
        seats = [self._seats(families) for families in answerers]
        said: list[list[Opinion]] = [[] for _ in answerers]
        for place, judge in enumerate(self.judges):
            asked = [index for index, who in enumerate(seats) if place in who and len(who) >= self.minimum]
            for index, opinion in zip(asked, ask(judge, asked) if asked else (), strict=True):
                said[index].append(opinion)
        return [self._together(who, found) for who, found in zip(seats, said, strict=True)]

    def _seats(self, families: Collection[str]) -> list[int]:
        """Places of the judges that are relatives of none of ``families``."""
        return [
            place
            for place, judge in enumerate(self.judges)
            if all(self.may_judge(judge, family) for family in families)
        ]

    def _together(self, seats: Sequence[int], said: Sequence[Opinion]) -> Opinion:
        if len(seats) < self.minimum:
            kept_out = len(self.judges) - len(seats)
            return Opinion(
                "not_measured",
                reason=f"{kept_out} of {len(self.judges)} judges are of the answerer's own family, "
                f"and {self.minimum} must judge",
            )
        # One judge is one judge. Of several, a verdict needs the minimum, and more than half of those asked.
        needed = max(self.minimum, len(said) // 2 + 1)
        return vote(said, self.how, needed=needed)
