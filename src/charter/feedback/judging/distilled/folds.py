"""Who is held out from which head: prompts in fixed folds, stratified by principle and source."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from charter.errors import UserError
from charter.feedback.judging.distilled.rows import Rows


@dataclass(frozen=True)
class Folds:
    """The split.

    Attributes:
        k: how many folds.
        fold: of each item.
        cluster: of each item; items of one cluster have a prompt in common, and stay together.
    """

    k: int
    fold: tuple[int, ...]
    cluster: tuple[int, ...]

    def trained(self, rows: Rows, held_out: Collection[int]) -> list[int]:
        """Items to train on when some folds are held out: of other folds, and no held-out answer's twin."""
        answers = {one.answer for one, fold in zip(rows.items, self.fold, strict=True) if fold in held_out}
        return [
            index
            for index, (one, fold) in enumerate(zip(rows.items, self.fold, strict=True))
            if fold not in held_out and one.answer not in answers
        ]


def folds_of(rows: Rows, k: int = 5) -> Folds:
    """Split by prompt. The same rows are always split in the same way, in whatever order they come.

    Prompts of one principle and source are dealt in turn to the folds, in the order of their hashes. There
    are as many folds as prompts where those are fewer than ``k``.

    Raises:
        UserError: fewer than two different prompts, or fewer than two folds asked for.
    """
    if k < 2:
        raise UserError(f"{k} folds hold nothing out", fix="ask for at least 2")
    cluster = _clusters([one.prompts for one in rows.items])
    members: dict[int, list[int]] = {}
    for index, number in enumerate(cluster):
        members.setdefault(number, []).append(index)
    if len(members) < 2:
        raise UserError(
            f"{len(members)} different prompts: nothing can be held out",
            fix="give GOOD and BAD answers to more conversations, or labels",
        )
    k = min(k, len(members))
    stratum = _strata(rows)
    by_stratum: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for number, mine in members.items():
        first = min(stratum[index] for index in mine)
        name = min(min(rows.items[index].prompts) for index in mine)
        by_stratum.setdefault(first, []).append((_hash("prompt", name), number))
    fold_of: dict[int, int] = {}
    for of in sorted(by_stratum):
        # Strata of one prompt would otherwise all begin with the first fold.
        start = int(_hash(*of)[:8], 16)
        for place, (_, number) in enumerate(sorted(by_stratum[of])):
            fold_of[number] = (start + place) % k
    used = sorted(set(fold_of.values()))
    if len(used) < 2:  # few strata of one prompt may all begin alike
        fold_of = {number: place % k for place, number in enumerate(sorted(fold_of))}
        used = sorted(set(fold_of.values()))
    renamed = {fold: place for place, fold in enumerate(used)}
    return Folds(len(used), tuple(renamed[fold_of[number]] for number in cluster), cluster)


def _clusters(keys: Sequence[Collection[str]]) -> tuple[int, ...]:
    """Number of each item's cluster: items that share a key, also over others, are one."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for mine in keys:
        first, *others = sorted(mine)
        for other in others:
            a, b = sorted((root(first), root(other)))
            parent[b] = a
    roots = [root(min(mine)) for mine in keys]
    number = {name: place for place, name in enumerate(sorted(set(roots)))}
    return tuple(number[name] for name in roots)


def _strata(rows: Rows) -> list[tuple[str, str]]:
    """Principle and source of each item."""
    source: dict[int, str] = {}
    for item, _, _, name in rows.labelled:
        source.setdefault(item, name)
    for better, worse, _, name in rows.pairs:
        source.setdefault(better, name)
        source.setdefault(worse, name)
    return [(one.principle, source.get(index, "")) for index, one in enumerate(rows.items)]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
