"""Charter's rules and judges as a scorer of Inspect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charter.constitution import Constitution
from charter.errors import ConstitutionError
from charter.evaluation.inspect.gather import Gatherer
from charter.evaluation.inspect.library import Score, Scorer, Target, TaskState, mean, scorer, stderr
from charter.evaluation.inspect.score_values import score_of
from charter.evaluation.inspect.transcripts import sample_of
from charter.evaluation.judge_card.read import read_card
from charter.evaluation.judges.adjudication import Adjudication
from charter.evaluation.judges.answerer import lineage_family
from charter.evaluation.judges.judging import JudgeOrPanel, adjudicate
from charter.evaluation.judges.names import named_judges
from charter.types import Group

NO_ANSWER = "no_response"
PROVIDER = "charter/"

Names = str | Sequence[str]
"""One name or several; Inspect's ``-T judge=A,B`` gives a list."""

_OPTION = re.compile(r"[a-z_]+=")


def several(given: Names) -> tuple[str, ...]:
    """The names. What Inspect cut off an endpoint at a comma (``requests_per_minute=60``) is put back."""
    found: list[str] = []
    for part in [given] if isinstance(given, str) else given:
        if found and _OPTION.match(part):
            found[-1] += f",{part}"
        elif part:
            found.append(part)
    return tuple(found)


class Bench:
    """Judges answers as they come, those that come together as one batch.

    Args:
        constitution: what is judged under.
        judge: of what rules leave open, or several as a panel; "" = nobody.
        card: file of the judge's card, or one of each; a judge without one is examined when it is needed.

    Raises:
        ConfigError: no such judge, or a card of another.
    """

    def __init__(self, constitution: Constitution, judge: Names = "", card: Names = "") -> None:
        self.constitution = constitution
        self._adjudicator: JudgeOrPanel | None = None
        if judges := several(judge):
            cards = [read_card(Path(one)) for one in several(card)]
            self._adjudicator = named_judges(judges, constitution, cards=cards)
        self._adjudications: dict[str, Adjudication] = {}
        self._gather: Gatherer[tuple[str, Group], Group] = Gatherer(self._judge)

    async def judged(self, group: Group, model: str) -> Group:
        """``group``, answered by ``model``, with its judgements."""
        return await self._gather.ask((model, group))

    def _judge(self, batch: Sequence[tuple[str, Group]]) -> list[Group]:
        found: list[Group | None] = [None] * len(batch)
        for model in dict.fromkeys(model for model, _ in batch):
            places = [place for place, (one, _) in enumerate(batch) if one == model]
            groups = self._adjudication(model).judged([batch[place][1] for place in places])
            for place, group in zip(places, groups, strict=True):
                found[place] = group
        return [group for group in found if group is not None]

    def _adjudication(self, model: str) -> Adjudication:
        """Who may judge this model's answers: its relatives may not, where the constitution says so."""
        family = lineage_family(model.removeprefix(PROVIDER))
        if family not in self._adjudications:
            self._adjudications[family] = adjudicate(self.constitution, self._adjudicator, family=family)
        return self._adjudications[family]


@scorer(metrics={"*": [mean(), stderr()]})  # type: ignore[untyped-decorator]
def adherence(
    constitution: str, principle: str = "", judge: Names = "", card: Names = "", sha: str = ""
) -> Scorer:
    """Verdicts by principle: 1 passed, 0 failed, unscored where there is none.

    The score's metadata hold the judgements whole, so that ``charter inspect import`` gets them back.

    Args:
        constitution: its file, or its name if it comes with Charter.
        principle: judge under this one alone; "" = under all.
        judge: of what rules leave open, or several as a panel; "" = nobody.
        card: file of the judge's card, or one of each.
        sha: the constitution must still be this one; "" = not looked at.

    Raises:
        ConstitutionError: it has changed, or has no such principle.
    """
    law = Constitution.load(constitution)
    if sha and law.sha != sha:
        raise ConstitutionError(
            "the constitution has changed since this task was made",
            where=constitution,
            fix="make the task again, or score with the old file",
        )
    if principle:
        law = replace(law, principles=(law.principle(principle),))
    bench = Bench(law, judge, card)

    async def score(state: TaskState, target: Target) -> Score:
        model = str(state.model)
        answered = sample_of(state.input, state.messages, state.output, sampled_by=model)
        if answered is None:
            return Score.unscored(reason=NO_ANSWER, explanation="no answer came")
        meta = {"tags": list(state.metadata.get("tags") or ())}
        group = await bench.judged(Group((answered,), id=str(state.sample_id), meta=meta), model)
        return score_of(group.judgements, answer=answered.completion.text, keyed=True)

    return score
