"""Who may amend a constitution: the front matter's ``amend``."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from charter.config import Config

Voters = Literal["everybody", "sample"]
HALF = Fraction(1, 2)


def _is_share(value: float | str) -> float | str:
    try:
        share = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is no share: write 0.6 or 2/3") from None
    if not 0 < share <= 1:
        raise ValueError(f"a share of votes lies above 0 and at 1 at most, not {value!r}")
    return value


VoteShare = Annotated[float | str, AfterValidator(_is_share)]
"""Yes among yes and no: ``0.6`` or ``2/3``. One half means more than half."""


class Bar(Config):
    """What a vote must reach; what is left out is as for any amendment."""

    threshold: VoteShare | None = None
    """Share of yes among yes and no, of all votes together."""
    quorum: Annotated[int, Field(ge=1)] | None = None
    """Fewest votes, abstentions included."""
    every_group: VoteShare | None = None
    """Share of yes that each single group must reach."""


def _bar(value: Any) -> Any:
    return {"threshold": value} if isinstance(value, int | float | str) else value


BarOrShare = Annotated[Bar, BeforeValidator(_bar)]
"""``2/3`` is short for ``{threshold: 2/3}``."""


class GroupRules(Config):
    """A group whose votes are counted for themselves."""

    threshold: VoteShare | None = None
    """Share of yes that this group must reach; none = ``every_group``."""
    quorum: Annotated[int, Field(ge=1)] = 1
    """Fewest votes of the group."""
    members: list[str] = Field(default_factory=list)
    """Who may vote in it; empty = anybody."""
    size: Annotated[int, Field(ge=1)] | None = None
    """How many people the group has, where they are not listed."""
    voters: Voters | None = None
    """Is everybody asked, or a sample? None = as for the whole."""

    @model_validator(mode="after")
    def _listed_or_counted(self) -> GroupRules:
        if self.members and self.size is not None:
            raise ValueError("give members or size, not both")
        if len({person_key(name) for name in self.members}) < len(self.members):
            raise ValueError("a member is listed twice")
        return self

    @property
    def people(self) -> int | None:
        """How many may vote, where it is known."""
        return len(self.members) or self.size


class AmendRules(Config):
    """Who may amend, and what a vote on an amendment must reach."""

    threshold: VoteShare = "1/2"
    """Share of yes among yes and no, of all votes together; one half means more than half."""
    quorum: Annotated[int, Field(ge=1)] = 1
    """Fewest votes, abstentions included."""
    every_group: VoteShare = "1/2"
    """Share of yes that each single group must reach, so that no minority is outvoted in silence."""
    groups: Mapping[str, GroupRules] = Field(default_factory=dict)
    """Groups that must be heard; empty = whatever groups the votes name."""
    by_level: Mapping[str, BarOrShare] = Field(default_factory=dict)
    """More for a level; it holds for every level above it too."""
    hard: BarOrShare = Bar()
    """More for a hard rule."""
    voters: Voters = "everybody"
    """Is everybody asked, or a sample? Of a sample, the interval must clear the threshold."""
    who: list[str] = Field(default_factory=list)
    """Who may carry an amendment out or reject it; empty = anybody."""

    @field_validator("groups")
    @classmethod
    def _groups_have_names(cls, groups: Mapping[str, GroupRules]) -> Mapping[str, GroupRules]:
        if any(not name.strip() for name in groups):
            raise ValueError("a group needs a name")
        seen: dict[str, str] = {}
        for name, rules in groups.items():
            for member in rules.members:
                other = seen.setdefault(person_key(member), name)
                if other != name:
                    raise ValueError(f"{member!r} is a member of {other!r} and of {name!r}")
        return groups

    def bars_of(self, level: str, hard: bool, levels: tuple[str, ...]) -> list[Bar]:
        """Every bar an amendment of a principle of ``level`` must clear.

        A bar for a level holds for the levels above it, so a higher level is never easier to amend.
        """
        below = levels[levels.index(level) :] if level else ()
        found = [self.by_level[name] for name in below if name in self.by_level]
        return [*found, self.hard] if hard else found

    def strictest(self, bars: list[Bar]) -> Required:
        """All of ``bars``, and what holds for any amendment, in one."""
        shares = [self.threshold, *(bar.threshold for bar in bars)]
        quorums = [self.quorum, *(bar.quorum for bar in bars)]
        inside = [self.every_group, *(bar.every_group for bar in bars)]
        return Required(
            threshold=str(max(share_of(one) for one in shares if one is not None)),
            quorum=max(one for one in quorums if one is not None),
            every_group=str(max(share_of(one) for one in inside if one is not None)),
        )


class Required(Config):
    """What one vote must reach: the strictest of all that applies to it."""

    threshold: VoteShare
    quorum: int
    every_group: VoteShare


def share_of(value: float | str) -> Fraction:
    """The exact share that was written: 0.6 is six tenths."""
    return Fraction(str(value))


def person_key(name: str) -> str:
    """Two spellings of a name that differ in case or spaces alone are one person."""
    return " ".join(name.split()).casefold()
