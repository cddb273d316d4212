"""Principle x checkpoint: rates with intervals, each tested against the first checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from charter.evaluation.rates.card import Criteria
from charter.evaluation.rates.change import Change, Rate, change_of, rate_of
from charter.evaluation.side_by_side.checkpoint import Checkpoint
from charter.evaluation.side_by_side.comparable import Shared
from charter.stats import holm, p_words

CellStatus = Literal["first", "rose", "fell", "kept", "not_compared", "not_measured"]


@dataclass(frozen=True)
class SideCell:
    """One principle of one checkpoint.

    Attributes:
        rate: over all prompts it was judged on; None = on none.
        change: against the first checkpoint on the prompts both were judged on; None = not compared.
        n_prompts: how many those are; of the first checkpoint, how many it was judged on.
        status: ``rose`` needs a corrected p-value below alpha and enough prompts; ``fell`` an uncorrected
            one, because harm is not to be corrected away.
        why: in words.
    """

    rate: Rate | None
    change: Change | None
    n_prompts: int
    status: CellStatus
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class SideRow:
    """One principle: a cell for each checkpoint, by name."""

    principle: str
    title: str
    level: str
    cells: Mapping[str, SideCell]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "principle": self.principle,
            "title": self.title,
            "level": self.level,
            "cells": {name: cell.to_json() for name, cell in self.cells.items()},
        }


def rows_of(
    checkpoints: Sequence[Checkpoint], shares: Mapping[str, Shared], rules: Criteria
) -> tuple[SideRow, ...]:
    """The table; Holm's correction is over all principles x checkpoints that are tested.

    Args:
        checkpoints: the first is what the others are tested against.
        shares: of every other one, what it has in common with the first, by name.
        rules: levels, alpha and the fewest prompts a rise needs.
    """
    first, *others = checkpoints
    infos = {info.id: info for one in reversed(checkpoints) for info in one.principles}
    order = dict.fromkeys(info.id for one in checkpoints for info in one.principles)
    table = {
        id: {first.name: _own(first, id, rules)}
        | {one.name: _against(first, one, shares[one.name], id, rules) for one in others}
        for id in order
    }
    tested = [
        (id, name) for id, cells in table.items() for name, cell in cells.items() if cell.change is not None
    ]
    changes = [change for id, name in tested if (change := table[id][name].change) is not None]
    for (id, name), change, corrected in zip(tested, changes, holm([c.p for c in changes]), strict=True):
        table[id][name] = _judged(replace(table[id][name], change=replace(change, p_holm=corrected)), rules)
    return tuple(SideRow(id, infos[id].title, infos[id].level, cells) for id, cells in table.items())


def clusters(one: Checkpoint, id: str, prompts: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Of every prompt judged under a principle, 1.0 for each answer that passed and 0.0 for the others."""
    if id not in one.infos:
        return {}
    listed = one.verdicts if prompts is None else {p: one.verdicts[p] for p in prompts}
    found = {prompt: [float(p) for p in said.passes(id)] for prompt, said in listed.items()}
    return {prompt: values for prompt, values in found.items() if values}


def _own(one: Checkpoint, id: str, rules: Criteria) -> SideCell:
    values = list(clusters(one, id).values())
    if not values:
        return SideCell(None, None, 0, "not_measured", _silence(one, id))
    return SideCell(rate_of(values, level=rules.level, seed=rules.seed), None, len(values), "first")


def _against(first: Checkpoint, one: Checkpoint, share: Shared, id: str, rules: Criteria) -> SideCell:
    own = _own(one, id, rules)
    if own.rate is None:
        return own
    why = share.why_not or share.refused.get(id, "")
    if why:
        return replace(own, n_prompts=0, status="not_compared", why=why)
    before, after = clusters(first, id, share.prompts), clusters(one, id, share.prompts)
    both = [prompt for prompt in before if prompt in after]
    if not both:
        return replace(own, n_prompts=0, status="not_compared", why="judged on no prompt in common")
    change = change_of(
        [before[p] for p in both], [after[p] for p in both], level=rules.level, seed=rules.seed
    )
    return SideCell(own.rate, change, len(both), "kept")


def _silence(one: Checkpoint, id: str) -> str:
    if id not in one.infos:
        return f"not in the constitution of {one.name}"
    reasons = (
        cell.reason for said in one.verdicts.values() for cell in said.cells[id] if cell.passed is None
    )
    return next((reason for reason in reasons if reason), "judged on no prompt")


def _judged(cell: SideCell, rules: Criteria) -> SideCell:
    change = cell.change
    assert change is not None
    flips = f"{change.up} prompts went up, {change.down} went down"
    shown = f"p {p_words(change.p)}, corrected {p_words(change.p_holm)}"
    if change.diff < 0 and change.p < rules.alpha:
        return replace(cell, status="fell", why=f"{flips} ({shown})")
    if change.diff > 0 and change.p_holm < rules.alpha:
        if cell.n_prompts < rules.min_prompts:
            few = f"only {cell.n_prompts} prompts in common; a rise needs {rules.min_prompts}"
            return replace(cell, why=f"{few}; {flips} ({shown})")
        return replace(cell, status="rose", why=f"{flips} ({shown})")
    return replace(cell, why=f"{flips} ({shown})")
