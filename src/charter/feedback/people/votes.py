"""Pairs and rankings as votes on two answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from charter.feedback.people.heard import choice
from charter.label import Label


@dataclass(frozen=True, slots=True)
class Vote:
    """One rater's vote on two answers of an item.

    Attributes:
        label: where it stands.
        sides: the two answers, by position in ``label.answers``.
        value: 1 = the first side, 0 = the second, 0.5 = a tie; None with ``both_bad``.
        both_bad: neither is any good.
        name: tells the pairs of one ranking apart.
    """

    label: Label
    sides: tuple[int, int]
    value: float | None
    both_bad: bool = False
    name: str = ""

    @property
    def rater(self) -> str:
        """Who voted."""
        return self.label.rater


def votes_of(label: Label) -> Iterator[Vote]:
    """The votes of a pair (one), or of a ranking (one each two answers)."""
    if label.kind == "pair":
        yield Vote(label, (0, 1), choice(label), label.outcome == "both_bad")
    elif label.kind == "ranking" and label.outcome in ("judged", "tie", "both_bad"):
        for a, b in combinations(range(len(label.answers)), 2):
            value: float | None = 0.5
            if label.outcome == "both_bad":
                value = None
            elif label.outcome == "judged" and label.value[a] != label.value[b]:
                value = 1.0 if label.value[a] < label.value[b] else 0.0
            yield Vote(label, (a, b), value, label.outcome == "both_bad", f"{a}-{b}")


def pair_votes(labels: Iterable[Label], *, by_group: bool, dropped: Counter[str]) -> Iterator[Sequence[Vote]]:
    """The votes of each question together; labels whose texts are not those of the first are counted."""
    found: dict[tuple[str, ...], list[Vote]] = {}
    for label in labels:
        if label.kind not in ("pair", "ranking"):
            continue
        key = (label.principle, label.item, label.kind, label.group if by_group else "")
        for number, vote in enumerate(votes_of(label)):
            votes = found.setdefault((*key, vote.name), [])
            if votes and votes[0].label.answers != label.answers:
                dropped["other answers than the item's first label has"] += number == 0
                continue
            votes.append(vote)
    yield from (votes for votes in found.values() if votes)
