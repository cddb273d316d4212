"""The questions of a comparison: which pairs, under which principles, in which order, with what reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from charter.constitution import Principle
from charter.data.questions import written
from charter.feedback.judging.model import Question
from charter.feedback.revising.draw import about, drawn
from charter.feedback.revising.journal import Journal
from charter.feedback.revising.prompts import Wordings
from charter.feedback.revising.writer import Writer, Writing, journalled
from charter.rundir import sha256_json
from charter.types import Content, Group, Message

OPTIONS = ("(A)", "(B)")

NO_PRINCIPLE = "pairs that no principle is about"
EQUAL = "pairs of equal answers"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers of a group under one principle."""

    group: int
    pair: tuple[int, int]
    principle: Principle

    def order(self, swapped: bool) -> tuple[int, int]:
        """Which answer is shown as (A), which as (B)."""
        return (self.pair[1], self.pair[0]) if swapped else self.pair


def comparisons(
    groups: Sequence[Group], principles: Sequence[Principle], count: int, seed: int
) -> tuple[list[Comparison], dict[str, int]]:
    """Every pair of every group under ``count`` drawn principles, and the pairs left out, by reason."""
    asked: list[Comparison] = []
    skipped = {NO_PRINCIPLE: 0, EQUAL: 0}
    for index, group in enumerate(groups):
        mine = about(principles, group)
        for pair in combinations(range(len(group.samples)), 2):
            texts = [group.samples[at].completion.text for at in pair]
            if texts[0].split() == texts[1].split():
                skipped[EQUAL] += 1
                continue
            if not mine:
                skipped[NO_PRINCIPLE] += 1
                continue
            # What is compared decides, in whichever order it came.
            key = sha256_json([written(group.samples[pair[0]].context.content), *sorted(texts)])
            under = drawn(mine, min(count, len(mine)), seed=seed, key=key)
            asked += [Comparison(index, pair, one) for one in under]
    return asked, skipped


def compare_question(
    words: Wordings, name: str, group: Group, order: tuple[int, int], principle: str
) -> Question:
    """Which of two answers follows the principle better?

    Args:
        words: what is asked.
        name: of the wording.
        group: with the answers.
        order: which is shown as (A), which as (B).
        principle: as text.
    """
    first, second = (group.samples[at] for at in order)
    talk = conversation(first.context.content)
    a, b = first.completion.text, second.completion.text
    text = words[name].fill(
        mark=mark_of(talk, a, b), conversation=talk, first=a, second=b, principle=principle
    )
    return Question((Message("user", text),), words[name].sha)


def with_reasons(
    questions: Sequence[Question],
    thinker: Writer,
    journal: Journal,
    words: Wordings,
    *,
    max_tokens: int,
    seed: int,
) -> list[tuple[Question, str] | None]:
    """Each question with reasons, written greedily, and the request for a verdict after them.

    None where there are no reasons: an answer without them would be another kind of label.
    """
    sha = words["compare_thinking"].sha
    writing = Writing(0.0, max_tokens, seed)
    talks = [question.turns for question in questions]
    made = journalled(thinker, journal, talks, writing, label="reasons", prompt_sha=sha)
    verdict = words["verdict"]
    found: list[tuple[Question, str] | None] = []
    for talk, why in zip(talks, made, strict=True):
        if why.error or not why.text:
            found.append(None)
            continue
        turns = (*talk, Message("assistant", why.text), Message("user", verdict.fill()))
        found.append((Question(turns, sha256_json([sha, verdict.sha])), why.text))
    return found


def conversation(content: Content) -> str:
    """A prompt written out, with a name before each turn."""
    if isinstance(content, str):
        return f"user: {content}"
    return "\n".join(f"{turn.role}: {turn.content}" for turn in content)


def mark_of(*texts: str) -> str:
    """A mark that sets material off, which its author cannot have known: made of the material itself."""
    return f"[{sha256_json(sorted(texts))[:10]}]"
