"""What a generative judge is asked, and what it answers: one wording for training and for judging.

About one answer (2408.15240): the question follows the prompt and the answer. About two
(2410.12832, 2305.10425): the prompt and both answers are written out as A and B.
"""

from __future__ import annotations

from dataclasses import dataclass

from charter.types import Completion, Content, Context, Message, text_of


@dataclass(frozen=True, slots=True)
class Question:
    """A question with two verdicts.

    Attributes:
        ask: the question.
        positive: the verdict that speaks for the answer, or for answer A.
        negative: the other.
        think: what is asked instead where reasons come before the verdict.
        mark: what stands between the reasons and the question.
    """

    ask: str = "Is the answer correct (Yes/No)?"
    positive: str = "Yes"
    negative: str = "No"
    think: str = "Let's verify step by step."
    mark: str = "Verification:"

    @property
    def words(self) -> tuple[str, str]:
        """Both verdicts, the positive first."""
        return self.positive, self.negative


CORRECT = Question()
"""GenRM's question (2408.15240)."""

GOOD = Question("Is the answer good or bad (Good/Bad)?", "Good", "Bad")
"""SLiC's pointwise ranker (2305.10425), which labels answers Good or Bad."""

BETTER = Question(
    "Which response is better, A or B?", "A", "B", "Compare the responses step by step.", "Verdict:"
)
"""A pairwise judge; the positive verdict is that the first response, A, is better."""

CRITIQUE = "Write a critique of the answer above: what is right, what is wrong, and how useful it is."
"""What a critique-then-score model is asked (CLoud, 2408.11791)."""


def about_answer(context: Content, answer: Content, ask: str) -> Context:
    """``ask`` after a prompt and its answer: a new user turn, or a new line of a plain text."""
    if isinstance(context, str):
        return Context(f"{context}{text_of(answer)}\n{ask}")
    turns = (Message("assistant", answer),) if isinstance(answer, str) else answer
    return Context((*context, *turns, Message("user", ask)))


def about_pair(context: Content, first: Content, second: Content, ask: str) -> Context:
    """``ask`` after a prompt and two answers, A and B; a user turn where the prompt is turns."""
    text = (
        f"[Context]\n{written(context)}\n\n[Response A]\n{written(first)}\n\n"
        f"[Response B]\n{written(second)}\n\n{ask}"
    )
    return Context(text) if isinstance(context, str) else Context((Message("user", text),))


def reply(context: Context, text: str) -> Completion:
    """What follows ``context``: a turn, or text that is set off from it."""
    if isinstance(context.content, str):
        return Completion(text if text[:1].isspace() else f" {text}")
    return Completion((Message("assistant", text),))


def verdict_reply(context: Context, question: Question, word: str, reasons: str = "") -> Completion:
    """The verdict ``word``, alone or after ``reasons``."""
    if not reasons:
        return reply(context, word)
    # A judge that was asked to end with "mark word" has no question of its own there.
    asked = f"{question.ask} " if question.ask else ""
    text = f"{reasons.strip()}\n{question.mark} {asked}{word}"
    return reply(context, f"\n{text}" if isinstance(context.content, str) else text)


def written(content: Content) -> str:
    """A text, a single turn's text, or a conversation with a name before each turn."""
    if isinstance(content, str):
        return content
    if len(content) == 1:
        return content[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in content)
