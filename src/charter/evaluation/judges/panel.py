"""Several judges that vote together: each with a card of its own, and the vote they give."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.evaluation.judge_card.asking import Judge, Subject
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.gate import Gated
from charter.evaluation.judge_card.labels import Labels
from charter.evaluation.judges.adjudication import Adjudication, Answered, part_of
from charter.evaluation.judges.judging import Adjudicator, unexamined
from charter.evaluation.judges.panel_card import panel_card, voters_of
from charter.evaluation.rates.basis import Basis, bases_of, left_to_judges, reasons, usable
from charter.types import Group, Judgement

Voters = Mapping[str, tuple[int, ...]]
"""Of each principle the judges that may vote on it, by their place on the bench."""


@dataclass(frozen=True)
class Bench:
    """A panel. Under each principle only those vote whose card lets them.

    A panel errs otherwise than its judges do, and how it errs does not follow from how they do: they may
    share their faults. So its vote is examined by itself on people's labels. Without any it is uncalibrated.

    Attributes:
        name: as the report calls it.
        members: the judges.
        minimum: fewest that must vote.
        open: opens the panel of the judges at some places, for some principles.
        subject: the panel for its examination, with the voters of each principle.
        prober: opens the judges at some places for statements that are no principle.
    """

    name: str
    members: tuple[Adjudicator, ...]
    minimum: int
    open: Callable[[Constitution, Collection[str], Sequence[int]], Judge]
    subject: Callable[[Voters], Subject]
    prober: Callable[[Constitution, Sequence[int]], Judge]

    def adjudicate(
        self,
        constitution: Constitution,
        *,
        card: JudgeCard | None = None,
        labels: Labels | None = None,
        family: str = "",
    ) -> Adjudication:
        """See :func:`charter.evaluation.judges.judging.adjudicate`.

        Raises:
            ConfigError: a card of the whole: each judge brings its own.
        """
        if card is not None:
            raise ConfigError("a panel has a card for each judge", where="card", fix="give them by name")
        free = self._free(constitution, family)
        if len(free) < self.minimum:
            why = self._too_few(free, family)
            return Adjudication(constitution, bases_of(constitution, self.name, None, refused=why), self.name)
        cards = {at: self._card(at, constitution, labels) for at in free}
        voters = voters_of(constitution, cards)
        vote = self._vote(constitution, voters, labels)
        whole = panel_card(self.name, constitution, self._named(cards), voters, self.minimum, vote)
        bases = bases_of(constitution, self.name, whole)
        allowed, why_not, members = usable(bases), reasons(bases), tuple(cards.values())
        if not allowed:
            return Adjudication(constitution, bases, self.name, whole, members=members)

        def seated(law: Constitution) -> Judge:
            ids = part_of(law, allowed)
            return Gated(Answered(self._voting(law, ids, voters, free), family), allowed, why_not)

        return Adjudication(
            constitution,
            bases,
            self.name,
            whole,
            seated(constitution),
            seated,
            lambda law: Answered(self.prober(law, free), family),
            members,
        )

    def expected(self, constitution: Constitution) -> Mapping[str, Basis]:
        """See :meth:`charter.evaluation.judges.judging.JudgeOrPanel.expected`."""
        cards = {at: one.card for at, one in enumerate(self.members) if one.card is not None}
        if len(cards) < len(self.members):
            return unexamined(constitution, self.name)
        voters = voters_of(constitution, cards)
        whole = panel_card(self.name, constitution, self._named(cards), voters, self.minimum)
        return bases_of(constitution, self.name, whole)

    def _free(self, constitution: Constitution, family: str) -> tuple[int, ...]:
        """Places of the judges that are no relatives of the model, where relatives may not judge it."""
        return tuple(
            at
            for at, one in enumerate(self.members)
            if not family or not one.barred(one.open(constitution, ()), constitution, family)
        )

    def _too_few(self, free: Sequence[int], family: str) -> str:
        return (
            f"{len(self.members) - len(free)} of {len(self.members)} judges are of the measured model's own "
            f"family ({family}), which may not judge it, and {self.minimum} must judge"
        )

    def _card(self, at: int, constitution: Constitution, labels: Labels | None) -> JudgeCard:
        one = self.members[at]
        return one.card or examine(one.subject, constitution, labels=labels)

    def _named(self, cards: Mapping[int, JudgeCard]) -> dict[int, tuple[str, JudgeCard]]:
        return {at: (self.members[at].name.rpartition(" (")[0], card) for at, card in cards.items()}

    def _vote(self, constitution: Constitution, voters: Voters, labels: Labels | None) -> JudgeCard | None:
        """The card of the vote, where people's labels can tell how it errs and several judges vote."""
        labelled = {one.principle for one in labels.answers} if labels is not None else set()
        ids = [
            one.id
            for one in left_to_judges(constitution)
            if one.id in labelled and len(voters[one.id]) >= max(2, self.minimum)
        ]
        return examine(self.subject(voters), constitution, labels=labels, only=ids) if ids else None

    def _voting(self, law: Constitution, ids: Sequence[str], voters: Voters, free: Sequence[int]) -> Judge:
        together: dict[tuple[int, ...], list[str]] = {}
        for id in ids:
            together.setdefault(voters[id], []).append(id)
        if not together:
            return self.open(law, (), free)
        return Several(
            tuple((frozenset(mine), self.open(law, mine, places)) for places, mine in together.items())
        )


@dataclass(frozen=True)
class Several:
    """Panels of different judges, each for its own principles.

    Attributes:
        panels: principles, and who judges them. What no panel is for, the first one speaks on.
    """

    panels: tuple[tuple[frozenset[str], Judge], ...]

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """What each panel says of its own principles."""
        said: list[list[Judgement]] = [[] for _ in groups]
        every = frozenset[str]().union(*(mine for mine, _ in self.panels))
        for number, (mine, judge) in enumerate(self.panels):
            for found, answer in zip(said, judge.judge(groups), strict=True):
                found += [
                    one
                    for one in answer
                    if one.principle in mine or (number == 0 and one.principle not in every)
                ]
        return said
