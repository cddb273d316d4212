"""A judge of what rules leave open: examined where it has no card, and used where its card lets it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.evaluation.judge_card.asking import Judge, Subject
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.gate import Gated
from charter.evaluation.judge_card.labels import Labels
from charter.evaluation.judges.adjudication import Adjudication, Answered, own_family, part_of, told
from charter.evaluation.rates.basis import Basis, bases_of, left_to_judges, reasons, usable

NO_CARD = "no card yet: the judge will be examined on the constitution's GOOD and BAD answers first"


@runtime_checkable
class JudgeOrPanel(Protocol):
    """A judge, or a panel of several, that may be asked about a constitution."""

    @property
    def name(self) -> str:
        """As the card and the report call it."""
        ...

    def adjudicate(
        self,
        constitution: Constitution,
        *,
        card: JudgeCard | None = None,
        labels: Labels | None = None,
        family: str = "",
    ) -> Adjudication:
        """See :func:`adjudicate`."""
        ...

    def expected(self, constitution: Constitution) -> Mapping[str, Basis]:
        """What will judge each principle, as far as that is known before anybody is asked."""
        ...


@dataclass(frozen=True)
class Adjudicator:
    """A judge that may be asked, and how it is examined where it has no card yet.

    Attributes:
        name: as its card calls it.
        open: opens it for the principles it may be used for.
        subject: for its examination.
        family: of the model, where its name alone does not tell; "" = the judge's own word counts.
        prober: opens it without regard to its card, for statements that are no principle; None = it cannot.
        card: what it is worth; None = it is examined first.
    """

    name: str
    open: Callable[[Constitution, Collection[str]], Judge]
    subject: Subject
    family: str = ""
    prober: Callable[[Constitution], Judge] | None = None
    card: JudgeCard | None = None

    def adjudicate(
        self,
        constitution: Constitution,
        *,
        card: JudgeCard | None = None,
        labels: Labels | None = None,
        family: str = "",
    ) -> Adjudication:
        """See :func:`adjudicate`."""
        card = card or self.card or examine(self.subject, constitution, labels=labels)
        bases = bases_of(constitution, self.name, card)
        allowed, why = usable(bases), reasons(bases)
        judge = self.open(constitution, allowed) if allowed else None
        if judge is not None and self.barred(judge, constitution, family):
            refused = bases_of(constitution, self.name, card, refused=own_family(family))
            return Adjudication(constitution, refused, self.name, card)
        if judge is None:
            return Adjudication(constitution, bases, self.name, card)
        return Adjudication(
            constitution,
            bases,
            self.name,
            card,
            Gated(Answered(judge, family), allowed, why),
            lambda law: Gated(Answered(self.open(law, part_of(law, allowed)), family), allowed, why),
            told(self.prober, family),
        )

    def expected(self, constitution: Constitution) -> Mapping[str, Basis]:
        """See :meth:`JudgeOrPanel.expected`."""
        if self.card is not None:
            return bases_of(constitution, self.name, self.card)
        return unexamined(constitution, self.name)

    def barred(self, judge: Any, constitution: Constitution, family: str) -> bool:
        """Whether ``judge``, this one opened, may not judge a model of ``family``."""
        if not family:
            return False
        panel = getattr(judge, "panel", None)
        if panel is not None and sum(panel.may_judge(one, family) for one in panel.judges) < panel.minimum:
            return True
        own = self.family or str(getattr(judge, "family", ""))
        return constitution.judge.self_family == "forbid" and same_family(own, family)


def adjudicate(
    constitution: Constitution,
    adjudicator: JudgeOrPanel | None = None,
    *,
    card: JudgeCard | None = None,
    labels: Labels | None = None,
    family: str = "",
) -> Adjudication:
    """Decide who may judge what; a judge without a card is examined first.

    Args:
        constitution: what is judged under.
        adjudicator: the judge, or the panel; None = rules alone.
        card: of a single judge, in place of the one it brings; without any it is examined on the
            constitution's GOOD and BAD answers and ``labels``.
        labels: what people said of answers.
        family: of the model that is measured.
    """
    if adjudicator is None or not left_to_judges(constitution):
        return Adjudication(constitution, bases_of(constitution))
    return adjudicator.adjudicate(constitution, card=card, labels=labels, family=family)


def unexamined(constitution: Constitution, name: str) -> dict[str, Basis]:
    """What judges each principle where the judge is still to be examined."""
    left = {one.id for one in left_to_judges(constitution)}
    return {
        id: Basis(id, name, "uncalibrated", NO_CARD) if id in left else basis
        for id, basis in bases_of(constitution).items()
    }


def given_judge(judge: Judge, card: JudgeCard | None = None) -> Adjudicator:
    """A judge that is there already."""
    name = card.judge if card else str(getattr(judge, "name", type(judge).__name__))
    return Adjudicator(name, lambda _law, _only: judge, Subject.of(judge, name), card=card)


def adjudicating(judge: JudgeOrPanel | Judge | None, card: JudgeCard | None = None) -> JudgeOrPanel | None:
    """Whatever was given as a judge, as one that can be asked to judge."""
    if judge is None or isinstance(judge, JudgeOrPanel):
        return judge
    return given_judge(judge, card)


def check_card(card: JudgeCard, constitution: Constitution) -> None:
    """Refuse a card that is about none of the principles here.

    Raises:
        ConfigError: it is another constitution's.
    """
    shas = {one.id: one.sha for one in constitution.active}
    if not any(shas.get(one.principle) == one.sha for one in card.principles):
        raise ConfigError(
            f"the card of {card.judge} is about no principle of this constitution as it is now",
            where="card",
            fix="examine the judge again with `charter judge-card`",
        )


def check_panel(judges: int, constitution: Constitution) -> None:
    """Refuse fewer judges than the constitution wants, before anything is loaded or paid for.

    Raises:
        ConfigError: too few.
    """
    wanted = constitution.judge.panel_min
    if judges < wanted:
        raise ConfigError(
            f"the constitution wants a panel of {wanted} judges, and {judges} "
            f"{'is' if judges == 1 else 'are'} named",
            where="judge",
            fix=f"name {wanted - judges} more (--judge A --judge B; in a recipe a list). How many must judge "
            f"is for the constitution's owner to say: `panel_min` in the judge of {constitution.path}",
        )


def same_family(one: str, other: str) -> bool:
    """Whether both are known, and the same."""
    return bool(one) and one.casefold() == other.casefold()
