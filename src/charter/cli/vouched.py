"""The principles a judge may be asked about: those its card says it may be used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.constitution import Constitution, Principle
    from charter.evaluation.judge_card.card import JudgeCard

NO_CARD = (
    "NO CARD: nothing says how often this judge is right, so nothing vouches for what it decided here. "
    "Examine it with `charter judge-card` and give the card with --card."
)


@dataclass(frozen=True)
class Vouched:
    """The principles a judge is asked about.

    Attributes:
        principles: ids to draw from; empty = all that are active.
        card: name of the judge on its card; "" = it has none.
        uncalibrated: of those principles, the ones whose error rates nobody measured on people's labels.
        left_out: why a principle is not asked about, by id.
    """

    principles: tuple[str, ...]
    card: str = ""
    uncalibrated: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For people: how far the judge may be believed, and what it may not be asked."""
        if not self.card:
            return [NO_CARD]
        lines = [f"the card of {self.card} lets it be asked about {', '.join(self.principles)}"]
        if self.uncalibrated:
            lines.append(f"right on examples alone, not measured on labels: {', '.join(self.uncalibrated)}")
        lines += [f"not asked about {name}: {why}" for name, why in self.left_out.items()]
        if not self.card.endswith("(pairwise)"):
            lines.append("the card was made on single answers; here pairs are compared (--form pairwise)")
        return lines

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "card": self.card or None,
            "principles": list(self.principles),
            "uncalibrated": list(self.uncalibrated),
            "left_out": dict(self.left_out),
        }


def vouched_for(
    judge: str, card: Path | None, constitution: Constitution, principles: Sequence[str] = ()
) -> Vouched:
    """What ``judge`` may be asked about.

    Args:
        judge: as the person named it.
        card: its card; None = it has none, and everything may be asked.
        constitution: has the principles.
        principles: those wanted; empty = all that are active.

    Raises:
        ConfigError: an unknown principle, another judge's or another constitution's card, a principle asked
            for that the judge may not be used for, or none that it may.
        DataError: no card in the file.
    """
    from charter.errors import ConfigError
    from charter.evaluation.judge_card.read import read_card
    from charter.evaluation.judges.judging import check_card
    from charter.feedback.revising.draw import usable

    wanted = usable(constitution, principles)
    if card is None:
        return Vouched(tuple(dict.fromkeys(principles)))
    read = read_card(card)
    _check_name(read.judge, judge, card)
    check_card(read, constitution)
    left_out = {one.id: why for one in wanted if (why := _why_not(read, one))}
    if principles and left_out:
        name, why = next(iter(left_out.items()))
        raise ConfigError(f"the judge may not be used for {name!r}: {why}", where="--principle")
    kept = [one.id for one in wanted if one.id not in left_out]
    if not kept:
        reasons = "; ".join(f"{count} {why}" for why, count in Counter(left_out.values()).items())
        raise ConfigError(
            f"its card lets {judge} be used for no principle here: {reasons}",
            where=str(card),
            fix="take another judge, or examine this one on more labels",
        )
    uses = {one.principle: one.use for one in read.principles}
    bare = tuple(name for name in kept if uses[name] == "uncalibrated")
    return Vouched(tuple(kept), read.judge, bare, left_out)


def _why_not(card: JudgeCard, principle: Principle) -> str:
    """Why the judge may not be asked about a principle; "" = it may."""
    one = card.of(principle.id)
    if one is None:
        return "not on the card"
    if one.sha != principle.sha:
        return "reworded since the judge was examined"
    return "" if one.principle in card.usable else one.use


def _check_name(carded: str, judge: str, card: Path) -> None:
    from charter.errors import ConfigError

    name = carded.rpartition(" (")[0] or carded
    if _bare(name) != _bare(judge):
        raise ConfigError(
            f"the card is of {carded}, the judge is {judge}",
            where=str(card),
            fix="give the card of this judge",
        )


def _bare(spec: str) -> str:
    """A judge's name without how fast and how often it may be asked."""
    from charter.feedback.judging.spec import is_endpoint, parse_spec

    return f"endpoint:{parse_spec(spec)[0].name}" if is_endpoint(spec) else spec
