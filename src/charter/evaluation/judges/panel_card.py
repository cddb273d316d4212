"""What a panel of judges may be used for, from the cards of its judges and of its vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from charter.constitution import Constitution, Principle
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Criterion, Limits
from charter.evaluation.judge_card.gate import USABLE, Use
from charter.evaluation.rates.basis import left_to_judges

NO_VOTE = (
    "each judge passed its card, and nobody measured how their vote errs: give labels of answers, on which "
    "the vote is examined"
)


def voters_of(constitution: Constitution, cards: Mapping[int, JudgeCard]) -> dict[str, tuple[int, ...]]:
    """Of each principle left to judges, the places of those whose card lets them judge it.

    Args:
        constitution: as it is now; a card made under other words does not count.
        cards: of the judges, by their place on the bench.
    """
    return {
        one.id: tuple(
            at for at, card in cards.items() if (mine := _of(card, one)) is not None and mine.use in USABLE
        )
        for one in left_to_judges(constitution)
    }


def panel_card(
    name: str,
    constitution: Constitution,
    members: Mapping[int, tuple[str, JudgeCard]],
    voters: Mapping[str, Sequence[int]],
    minimum: int,
    vote: JudgeCard | None = None,
) -> JudgeCard:
    """The card of the panel as a whole.

    A principle that fewer than ``minimum`` judges may vote on is not judged. Where one judge alone votes, its
    card is the panel's; where several do, what their vote was found to be worth, and without labels nothing
    is known of that.

    Args:
        name: of the panel.
        constitution: what is judged under.
        members: name and card of each judge, by its place.
        voters: of :func:`voters_of`.
        minimum: fewest judges that must vote.
        vote: the card of the vote, on some principles.
    """
    left = left_to_judges(constitution)
    cards = tuple(_principle(one, members, voters[one.id], minimum, vote) for one in left)
    wide = tuple(_called(who, one) for who, card in members.values() for one in card.wide)
    limits = next((card.limits for _, card in members.values()), Limits())
    return JudgeCard(
        name,
        constitution.name,
        constitution.sha,
        limits,
        wide + (() if vote is None else tuple(_called("vote", one) for one in vote.wide)),
        cards,
        {} if vote is None else vote.left_out,
    )


def _principle(
    principle: Principle,
    members: Mapping[int, tuple[str, JudgeCard]],
    voters: Sequence[int],
    minimum: int,
    vote: JudgeCard | None,
) -> PrincipleCard:
    mine = {at: (who, _of(card, principle)) for at, (who, card) in members.items()}
    criteria = tuple(
        _called(who, one) for who, card in mine.values() if card is not None for one in card.criteria
    )
    voted = vote.of(principle.id) if vote is not None else None
    if len(voters) < minimum:
        use, why = _too_few(mine, voters, minimum)
        return PrincipleCard(principle.id, principle.title, principle.sha, use, why, criteria)
    if len(voters) == 1:
        (alone,) = [(who, card) for at, (who, card) in mine.items() if at in voters and card is not None]
        return replace(alone[1], why=f"{alone[0]} alone: {alone[1].why}", criteria=criteria)
    if voted is None:
        return PrincipleCard(principle.id, principle.title, principle.sha, "uncalibrated", NO_VOTE, criteria)
    own = tuple(_called("vote", one) for one in voted.criteria)
    return replace(voted, why=f"the vote of {len(voters)}: {voted.why}", criteria=(*criteria, *own))


def _too_few(
    mine: Mapping[int, tuple[str, PrincipleCard | None]], voters: Sequence[int], minimum: int
) -> tuple[Use, str]:
    """Refused where the others failed; undecided where more labels might still let them judge."""
    others = [(who, card) for at, (who, card) in mine.items() if at not in voters]
    open = sum(card is None or card.use == "undecided" for _, card in others)
    use: Use = "undecided" if len(voters) + open >= minimum else "refused"
    told = "; ".join(f"{who}: {_why(card)}" for who, card in others)
    return use, f"{len(voters)} of {len(mine)} judges may judge it, and {minimum} must: {told}"


def _why(card: PrincipleCard | None) -> str:
    return "no card for these words" if card is None else f"{card.use}: {card.why}"


def _of(card: JudgeCard, principle: Principle) -> PrincipleCard | None:
    """The card of a principle as it is worded now."""
    one = card.of(principle.id)
    return one if one is not None and one.sha == principle.sha else None


def _called(who: str, one: Criterion) -> Criterion:
    return replace(one, name=f"{who}: {one.name}")
