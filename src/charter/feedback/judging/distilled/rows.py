"""What a judge is distilled from: labelled answers and preferred ones, each once, every source counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from charter.feedback.judging.distilled.keys import answer_key, prompt_keys
from charter.feedback.judging.view import Seen, View
from charter.rundir import sha256_json
from charter.types import Completion, Content, Context, Message, Sample

HUMAN, EXAMPLES, RULES, JUDGE = "human", "examples", "rules", "judge:"
"""Sources, the most trusted first. Another judge's is :data:`JUDGE` and its name."""

PAIRS_OF_A_PROMPT = 16
"""Most pairs that are made of one prompt's labelled answers under one principle."""


@dataclass(frozen=True)
class Item:
    """An answer under a principle, as judges see it."""

    principle: str
    seen: Seen

    @classmethod
    def of(cls, principle: str, context: Content, answer: Content) -> Item:
        """What :class:`charter.feedback.judging.view.View` shows of it."""
        turns = (Message("assistant", answer),) if isinstance(answer, str) else answer
        return cls(principle, View().see(Sample(Context(context), Completion(turns))))

    @cached_property
    def sha(self) -> str:
        """Of the principle's id and everything seen."""
        turns = [[turn.role, turn.content] for turn in (*self.seen.conversation, *self.seen.answer)]
        return sha256_json([self.principle, len(self.seen.conversation), turns])

    @cached_property
    def prompts(self) -> frozenset[str]:
        """See :func:`charter.feedback.judging.distilled.keys.prompt_keys`."""
        return prompt_keys(self.seen.conversation)

    @cached_property
    def answer(self) -> str:
        """See :func:`charter.feedback.judging.distilled.keys.answer_key`."""
        return answer_key(self.seen.answer)

    @property
    def length(self) -> int:
        """Characters of the answer."""
        return len("\n".join(turn.content for turn in self.seen.answer).strip())


@dataclass(frozen=True)
class Labelled:
    """An answer that keeps to a principle, or breaks it.

    Attributes:
        weight: how sure its source is, in (0, 1].
    """

    item: Item
    good: bool
    source: str
    weight: float = 1.0


@dataclass(frozen=True)
class Preferred:
    """Of two answers to one conversation, the one that keeps better to a principle."""

    better: Item
    worse: Item
    source: str
    weight: float = 1.0


@dataclass
class Found:
    """What one or more sources hold.

    Attributes:
        left_out: what is not used, by reason.
    """

    labelled: list[Labelled] = field(default_factory=list)
    preferred: list[Preferred] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, other: Found) -> None:
        """Take over what ``other`` holds."""
        self.labelled += other.labelled
        self.preferred += other.preferred
        self.left_out.update(other.left_out)


@dataclass(frozen=True)
class Rows:
    """Rows to learn from; answers by their place in ``items``.

    Attributes:
        items: different answers under a principle.
        labelled: ``(item, good, weight, source)``, at most one of an item.
        pairs: ``(better, worse, weight, source)``.
        left_out: what is not used, by reason.
    """

    items: tuple[Item, ...]
    labelled: tuple[tuple[int, bool, float, str], ...]
    pairs: tuple[tuple[int, int, float, str], ...]
    left_out: Mapping[str, int]

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Of each principle and source how many good and bad answers and pairs."""
        found: dict[str, dict[str, dict[str, int]]] = {}

        def add(item: int, source: str, what: str) -> None:
            of = found.setdefault(self.items[item].principle, {})
            row = of.setdefault(source, {"good": 0, "bad": 0, "pairs": 0})
            row[what] += 1

        for item, good, _, source in self.labelled:
            add(item, source, "good" if good else "bad")
        for better, _, _, source in self.pairs:
            add(better, source, "pairs")
        return {id: dict(sorted(found[id].items())) for id in sorted(found)}

    def without(self, items: Iterable[int], reason: str) -> Rows:
        """The same without some items, which are counted."""
        gone = set(items)
        if not gone:
            return self
        kept = [index for index in range(len(self.items)) if index not in gone]
        new = {old: index for index, old in enumerate(kept)}
        return Rows(
            tuple(self.items[old] for old in kept),
            tuple((new[i], *rest) for i, *rest in self.labelled if i in new),  # type: ignore[misc]
            tuple((new[i], new[j], *rest) for i, j, *rest in self.pairs if i in new and j in new),  # type: ignore[misc]
            {**self.left_out, reason: self.left_out.get(reason, 0) + len(gone)},
        )


def rows_of(found: Found) -> Rows:
    """One row an answer: the most trusted source's label counts, and what contradicts it is left out.

    Answers to one conversation of which some are good and some bad are pairs, too, unless their source
    names pairs itself. The order of the rows depends on nothing but what they say.
    """
    left_out = Counter(found.left_out)
    by_sha: dict[str, Labelled] = {}
    for one in sorted(found.labelled, key=lambda row: (_trust(row.source), row.source, row.item.sha)):
        if one.weight <= 0:
            left_out["labels whose source is not sure at all"] += 1
        elif one.item.seen.empty:
            left_out["labels of empty answers"] += 1
        elif one.item.sha not in by_sha:
            by_sha[one.item.sha] = one
        elif by_sha[one.item.sha].good == one.good:
            left_out["labels that another source says as well"] += 1
        else:
            left_out["labels that contradict a more trusted source"] += 1
    labelled = list(by_sha.values())
    preferred, contradicted = _consistent([*found.preferred, *_pairs(labelled)], by_sha)
    if contradicted:
        left_out["pairs that are equal, empty, or contradict another"] += contradicted
    items = {one.item.sha: one.item for one in labelled}
    items |= {item.sha: item for one in preferred for item in (one.better, one.worse)}
    order = sorted(items)
    place = {sha: index for index, sha in enumerate(order)}
    return Rows(
        tuple(items[sha] for sha in order),
        tuple(sorted((place[r.item.sha], r.good, r.weight, r.source) for r in labelled)),
        tuple(sorted((place[p.better.sha], place[p.worse.sha], p.weight, p.source) for p in preferred)),
        dict(left_out),
    )


def _pairs(labelled: Sequence[Labelled]) -> list[Preferred]:
    """Good over bad answers to one conversation, from sources that give labels alone."""
    groups: dict[tuple[str, str, str], tuple[list[Labelled], list[Labelled]]] = {}
    for one in labelled:
        if one.source != EXAMPLES:
            asked = sha256_json([[turn.role, turn.content] for turn in one.item.seen.conversation])
            sides = groups.setdefault((one.item.principle, asked, one.source), ([], []))
            sides[0 if one.good else 1].append(one)
    found = []
    for (_, _, source), (good, bad) in groups.items():
        # Hashes have no pattern: the first few in their order are a sample.
        both = sorted(
            itertools.product(good, bad), key=lambda two: sha256_json([two[0].item.sha, two[1].item.sha])
        )
        found += [
            Preferred(a.item, b.item, source, min(a.weight, b.weight)) for a, b in both[:PAIRS_OF_A_PROMPT]
        ]
    return found


def _consistent(pairs: Sequence[Preferred], labels: Mapping[str, Labelled]) -> tuple[list[Preferred], int]:
    """Different pairs that neither another pair nor a label speaks against."""
    kept: dict[tuple[str, str], Preferred] = {}
    contradicted = 0
    for one in sorted(pairs, key=lambda p: (_trust(p.source), p.source, p.better.sha, p.worse.sha)):
        key = one.better.sha, one.worse.sha
        says = [labels[sha].good if sha in labels else None for sha in key]
        empty = one.better.seen.empty or one.worse.seen.empty
        if empty or key[0] == key[1] or key[::-1] in kept or says == [False, True] or one.weight <= 0:
            contradicted += 1
        else:
            kept.setdefault(key, one)
    return list(kept.values()), contradicted


def _trust(source: str) -> int:
    known = (HUMAN, EXAMPLES, RULES)
    return known.index(source) if source in known else len(known)
