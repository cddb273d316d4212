"""People's labels that are about the very answers that are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.evaluation.judge_card.labels import Labels
from charter.evaluation.rates.basis import Place, Placed, Side
from charter.types import Content, Group

_Key = tuple[str, tuple[tuple[str, str], ...], str]


@dataclass(frozen=True)
class Matched:
    """Labels by principle and answer.

    Attributes:
        labels: of each principle the label of each answer that has one.
        elsewhere: labels of answers that neither model gave here.
    """

    labels: Mapping[str, Mapping[Place, Placed]]
    elsewhere: int


def match_labels(
    labels: Labels | None, after: Sequence[Group], before: Sequence[Group] | None = None
) -> Matched:
    """Find the labelled answers among the models' answers: same principle, conversation and text.

    System turns do not count: a template may add one that nobody who labelled has seen.
    """
    if labels is None:
        return Matched({}, 0)
    wanted = {
        (one.principle, _turns(one.context), one.text.strip()): Placed(one.good, one.random)
        for one in labels.answers
    }
    principles = {one.principle for one in labels.answers}
    found: dict[str, dict[Place, Placed]] = {}
    met: set[_Key] = set()
    sides: tuple[tuple[Side, Sequence[Group]], ...] = (("after", after), ("before", before or ()))
    for side, groups in sides:
        for group in groups:
            for index, sample in enumerate(group.samples):
                turns, text = _turns(sample.context.content), sample.completion.text.strip()
                for id in principles:
                    key: _Key = (id, turns, text)
                    if key in wanted:
                        found.setdefault(id, {})[(side, group.id, index)] = wanted[key]
                        met.add(key)
    return Matched(found, len(wanted) - len(met))


def _turns(content: Content) -> tuple[tuple[str, str], ...]:
    if isinstance(content, str):
        return (("user", content.strip()),)
    return tuple((turn.role, turn.content.strip()) for turn in content if turn.role != "system")
