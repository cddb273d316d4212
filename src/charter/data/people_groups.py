"""Preferences of several groups of people: the column ``group`` says whose a row is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charter.catalogue.pluralistic import GROUP_SCALE
from charter.data.columns import require
from charter.data.formats import LoadedData
from charter.data.rankings import compared
from charter.data.rows import Row
from charter.errors import DataError
from charter.types import Content, Context, Group, Judgement, Message, PairTarget, SampleTarget

GROUP = "group"
"""The column that says whose preference a row is."""

MASKED = "rows whose group is not named (mask_share)"

_SAID = "The answer is judged by this group of people: {group}."
_NOBODY = "The answer is judged by people of no known group."


def group_of(group: Group) -> str:
    """The people whose preferences a row holds.

    Raises:
        DataError: the row does not say.
    """
    name = require(Row(group.meta, group.source), GROUP)[1]
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
        raise DataError(
            f"{GROUP!r} is {name!r}, wanted the name of a group of people",
            where=group.source,
            fix='name it in each row, such as {"group": "nurses"}',
        )
    return str(name).strip()


def by_group(loaded: LoadedData, options: Any) -> LoadedData:
    """Rows apart by the group of people whose preferences they are.

    Raises:
        DataError: a row without a group, or nothing is compared.
    """
    loaded = compared(loaded, options)
    made = tuple(replace(group, part=group_of(group)) for group in loaded.groups)
    return replace(loaded, groups=made)


def with_group_scale(groups: Sequence[Group], options: Any) -> tuple[Group, ...]:
    """Rows that also say how many times as many pairs there are in all as in their group.

    Counted after rendering, so that rows which were dropped do not count.

    Raises:
        DataError: the pairs of a group have no weight.
    """
    weights: dict[str, float] = {}
    for group in groups:
        own = sum(said.weight for said in _pairs(group))
        weights[group.part] = weights.get(group.part, 0.0) + own
    for name, weight in weights.items():
        if not weight > 0:
            raise DataError(f"the pairs of the group {name!r} have no weight", fix="remove its rows")
    total = sum(weights.values())
    return tuple(_scaled(group, total / weights[group.part]) for group in groups)


def _scaled(group: Group, scale: float) -> Group:
    better = sorted({said.target.better for said in _pairs(group) if isinstance(said.target, PairTarget)})
    said = (Judgement(SampleTarget(index), scale, principle=GROUP_SCALE) for index in better)
    return group.with_judgements(*said)


def _pairs(group: Group) -> list[Judgement]:
    return [
        said for said in group.judgements if isinstance(said.target, PairTarget) and said.verdict == "judged"
    ]


# -- the group before the prompt ---------------------------------------------------------------


def with_group_prefix(loaded: LoadedData, options: Any) -> LoadedData:
    """Rows with a line before the prompt that names the group; a share of them, drawn by seed, name nobody.

    Raises:
        DataError: a row without a group, or nothing is compared.
    """
    loaded = compared(loaded, options)
    made, masked = [], 0
    for index, group in enumerate(loaded.groups):
        name: str | None = group_of(group)
        if _uniform(options.seed, index) < options.mask_share:
            name, masked = None, masked + 1
        made.append(for_group(group, name))
    return replace(loaded, groups=tuple(made), counts={**loaded.counts, MASKED: masked})


def for_group(group: Group, name: str | None) -> Group:
    """The group's samples as ``name`` judges them, which a reward model by group reads; None = nobody.

    Args:
        group: not rendered yet.
        name: of people, as in the training data.
    """
    samples = tuple(replace(one, context=_named(one.context, name)) for one in group.samples)
    return replace(group, samples=samples)


def _named(context: Context, name: str | None) -> Context:
    line = _NOBODY if name is None else _SAID.format(group=name)
    return replace(context, content=_before(line, context.content))


def _before(line: str, content: Content) -> Content:
    """The line at the head of the user's first turn, as not every template knows a system turn."""
    if isinstance(content, str):
        return f"{line}\n\n{content}"
    for index, turn in enumerate(content):
        if turn.role == "user":
            return (
                *content[:index],
                Message("user", f"{line}\n\n{turn.content}"),
                *content[index + 1 :],
            )
    return (Message("user", line), *content)


def _uniform(seed: int, index: int) -> float:
    """A number in [0, 1) for each row, the same on every machine."""
    digest = hashlib.sha256(f"{seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
