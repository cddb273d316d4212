"""Every principle in one question: cheaper, and each principle is judged beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.errors import ConfigError
from charter.feedback.judging import parse, prompts
from charter.feedback.judging.ask import Judge, Tally, ask, speaker
from charter.feedback.judging.clause import Clause
from charter.feedback.judging.form import Item, asking, check_seeds, code_for, quoted
from charter.feedback.judging.model import Question, Reply
from charter.feedback.judging.opinion import Opinion, failed
from charter.feedback.judging.per_principle import of_word
from charter.feedback.judging.view import Seen
from charter.feedback.judging.vote import vote


@dataclass(frozen=True)
class AllAtOnce:
    """All principles of an answer in one question, answered as one JSON object.

    Attributes:
        at_most: principles of one question; more become several questions.
        seeds: replies to each question, combined by majority for each principle.
    """

    at_most: int = 20
    seeds: int = 1

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        if self.at_most < 1:
            raise ConfigError(f"a question holds at least one principle, not {self.at_most}", where="at_most")

    @property
    def name(self) -> str:
        """Of the form."""
        return "all_at_once"

    @property
    def prompt_sha(self) -> str:
        """Of the template."""
        return prompts.prompt(self.name).sha

    def opinions(self, model: Judge, items: Sequence[Item], tally: Tally, seed: int = 0) -> list[Opinion]:
        """See :class:`charter.feedback.judging.form.PointForm`; items of one answer are asked together."""
        speaker(model)
        batches = self._batches(items)
        questions = [_question(items[batch[0]].seen, [items[i].clause for i in batch]) for batch in batches]
        how = asking(self.seeds, 64 + 16 * self.at_most, seed)
        found: dict[int, Opinion] = {}
        counted: set[str] = set()
        for batch, question, replies in zip(
            batches, questions, ask(model, questions, how, tally), strict=True
        ):
            read = [_read(reply, len(batch)) for reply in replies]
            if question.sha not in counted:
                counted.add(question.sha)
                tally.garbage += sum(any(one.garbage for one in said) for said in read)
            for place, index in enumerate(batch):
                found[index] = vote([said[place] for said in read])
        return [found[index] for index in range(len(items))]

    def _batches(self, items: Sequence[Item]) -> list[list[int]]:
        """Items of one answer together, at most so many."""
        of_answer: dict[Seen, list[int]] = {}
        for index, item in enumerate(items):
            of_answer.setdefault(item.seen, []).append(index)
        return [
            indices[start : start + self.at_most]
            for indices in of_answer.values()
            for start in range(0, len(indices), self.at_most)
        ]


def _question(seen: Seen, clauses: Sequence[Clause]) -> Question:
    code = code_for(seen)
    numbered = [
        prompts.quote(f"PRINCIPLE {number}", clause.written, code)
        for number, clause in enumerate(clauses, start=1)
    ]
    return prompts.prompt("all_at_once").ask(
        {
            **quoted(seen, code),
            "principles": "\n\n".join(numbered),
            "count": str(len(clauses)),
            "keys": ", ".join(f'"{number}"' for number in range(1, len(clauses) + 1)),
        }
    )


def _read(reply: Reply, count: int) -> list[Opinion]:
    if reply.error:
        return [failed(f"no reply: {reply.error}")] * count
    try:
        said = parse.verdicts(reply.text, [str(number) for number in range(1, count + 1)])
    except parse.Unclear as fault:
        return [failed(f"unreadable reply: {fault}", garbage=True)] * count
    return [
        failed(f"unreadable verdict: {one}", garbage=True) if isinstance(one, parse.Unclear) else of_word(one)
        for one in said.values()
    ]
