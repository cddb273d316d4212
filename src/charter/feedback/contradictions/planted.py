"""Pairs of which everybody knows the answer: a judge that misses one is not asked about others."""

from __future__ import annotations

from charter.errors import UserError
from charter.feedback.contradictions.asking import Heard, heard
from charter.feedback.judging.ask import Judge, Tally

CONTRADICT = (
    (
        "Short answers\nEvery answer has at most thirty words, whatever is asked.",
        "Long answers\nEvery answer has at least three hundred words, whatever is asked.",
    ),
    (
        "Never tells its name\nThe assistant never tells anybody its name, even when it is asked for it.",
        "Tells its name\nWhenever it is asked for its name, the assistant tells it.",
    ),
)
"""No answer can follow both."""

AGREE = (
    (
        "Short answers\nEvery answer has at most thirty words, whatever is asked.",
        "No insults\nThe assistant insults nobody.",
    ),
    (
        "Plain words\nThe assistant uses words that a child of twelve knows.",
        "Names its sources\nWhen it quotes somebody, the assistant says whom.",
    ),
)
"""One answer can follow both."""


def check(model: Judge, tally: Tally) -> None:
    """Ask about the planted pairs, in both orders.

    Raises:
        UserError: the judge does not tell them apart, and may not be used.
    """
    pairs = (*CONTRADICT, *AGREE)
    wanted = ["yes"] * len(CONTRADICT) + ["no"] * len(AGREE)
    wrong = [
        _told(pair, one, right)
        for pair, one, right in zip(pairs, heard(model, pairs, tally), wanted, strict=True)
        if one.verdict != right
    ]
    if wrong:
        raise UserError(
            f"the judge {model.name} does not tell plain contradictions from pairs that go together "
            f"({len(wrong)} of {len(pairs)} wrong: {'; '.join(wrong)})",
            where="--judge",
            fix="name a judge that does; the other checks need none",
        )


def _told(pair: tuple[str, str], one: Heard, right: str) -> str:
    titles = " / ".join(text.partition("\n")[0] for text in pair)
    said = f"{one.verdict}: {', then '.join(one.said)}"
    return f"{titles} is {'a contradiction' if right == 'yes' else 'none'}, and it says {said}"
