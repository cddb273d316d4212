"""What an axis of the helpful-harmless plot shows: principles by id, level or tag, or a health measure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from charter.errors import ConfigError, did_you_mean
from charter.evaluation.side_by_side.checkpoint import Checkpoint

HELPFUL = ("helpful", "helpfulness")
HARMLESS = ("harmless", "harmlessness", "safety")
"""Tags that stand for the two axes where none are named."""

Tags = Mapping[str, Collection[str]]
"""Tags of every principle, by id."""


@dataclass(frozen=True)
class Measure:
    """One axis.

    Attributes:
        name: as it was written.
        label: in words.
        principles: whose mean rate it is; empty = a health measure.
        health: its name.
        lower_is_better: written with a minus in front.
    """

    name: str
    label: str
    principles: tuple[str, ...] = ()
    health: str = ""
    lower_is_better: bool = False

    @property
    def sign(self) -> float:
        """1, or -1 where lower is better."""
        return -1.0 if self.lower_is_better else 1.0


def measure_of(text: str, checkpoints: Sequence[Checkpoint], tags: Tags) -> Measure:
    """The measure that ``text`` names.

    Args:
        text: ``all``; principle ids joined by ``+``; ``level:NAME``; ``tag:NAME``; or a health measure
            (``words``, ``kl``), with ``-`` in front where lower is better.
        checkpoints: have the principles and measures.
        tags: of the constitution; empty = not known.

    Raises:
        ConfigError: nothing by that name.
    """
    lower = text.startswith("-")
    bare = text.removeprefix("-")
    levels = {info.id: info.level for one in checkpoints for info in one.principles}
    titles = {info.id: info.title for one in checkpoints for info in one.principles}
    kind, colon, value = bare.partition(":")
    if bare == "all":
        return Measure(text, "all principles", tuple(levels), lower_is_better=lower)
    if colon and kind == "level":
        found = tuple(id for id, level in levels.items() if level == value)
        return _found(text, f"{value} level", found, value, set(levels.values()), lower)
    if colon and kind == "tag":
        if not tags:
            raise ConfigError(
                "tags are in the constitution, which is not known here", where=text, fix="give --constitution"
            )
        found = tuple(id for id in levels if value in tags.get(id, ()))
        return _found(text, f"tag {value}", found, value, {tag for of in tags.values() for tag in of}, lower)
    health = {name for one in checkpoints for name in one.health}
    if bare in health and bare not in levels:
        return Measure(text, bare, health=bare, lower_is_better=lower)
    ids = tuple(bare.split("+"))
    for id in ids:
        if id not in levels:
            raise ConfigError(f"no measure {id!r}", where=text, fix=did_you_mean(id, [*levels, *health]))
    label = titles[ids[0]] if len(ids) == 1 else ", ".join(ids)
    return Measure(text, label, ids, lower_is_better=lower)


def default_axes(checkpoints: Sequence[Checkpoint], tags: Tags) -> tuple[Measure, Measure] | None:
    """Helpful across and harmless up: by tag where the constitution has such tags, else by level.

    By level, harmless is the highest level and helpful all others. None where there is only one level.
    """
    ids = [info.id for info in checkpoints[0].principles]
    by_tag = [
        (tag, tuple(id for id in ids if set(tags.get(id, ())) & set(names)))
        for tag, names in (("helpful", HELPFUL), ("harmless", HARMLESS))
    ]
    if all(found for _, found in by_tag):
        across, up = (Measure(f"tag:{tag}", f"{tag} principles", found) for tag, found in by_tag)
        return across, up
    levels = list(dict.fromkeys(info.level for info in checkpoints[0].principles))
    if len(levels) < 2:
        return None
    top = tuple(info.id for info in checkpoints[0].principles if info.level == levels[0])
    rest = tuple(id for id in ids if id not in top)
    named = f"{levels[1]} level" if len(levels) == 2 else f"levels below {levels[0]}"
    return Measure(f"below:{levels[0]}", named, rest), Measure(
        f"level:{levels[0]}", f"{levels[0]} level", top
    )


def _found(
    text: str, label: str, ids: tuple[str, ...], value: str, known: Collection[str], lower: bool
) -> Measure:
    if not ids:
        raise ConfigError(
            f"no principle with {text.removeprefix('-')}", where=text, fix=did_you_mean(value, known)
        )
    return Measure(text, label, ids, lower_is_better=lower)
