"""From sampled reasons with verdicts to training data: STaR for judges (2410.12832).

A judge is asked with room for reasons, several times. Replies whose verdict is right teach by
imitation (:func:`right_verdicts`, for ``sft``), or against replies whose verdict is wrong
(:func:`verdict_pairs`, for ``dpo``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from charter.data.pair_questions import pair_questions
from charter.data.questions import BETTER, CORRECT, Question, about_answer
from charter.data.verifier_rows import share
from charter.errors import DataError
from charter.types import Completion, Content, Context, Group, Message, PairTarget, Sample


@dataclass(frozen=True, slots=True)
class VerdictRows:
    """Rows, and what became of the replies.

    Attributes:
        rows: for :func:`charter.train`.
        right, wrong, undecided: replies by their verdict.
        unused: questions that gave no row.
    """

    rows: tuple[dict[str, Any], ...]
    right: int
    wrong: int
    undecided: int
    unused: int


def open_questions(
    groups: Sequence[Group], question: Question | None = None, *, as_trained: bool = False
) -> tuple[Group, ...]:
    """Questions to be answered with reasons, to be sampled; the right verdict is ``meta["verdict"]``.

    Pairs give one question in each order, labelled answers one each. The request ends with the
    form of reply that :func:`verdict_of` reads.

    Args:
        groups: as :func:`charter.data.formats.load_groups` reads preference or unpaired rows.
        question: by default :data:`~charter.data.questions.BETTER` for pairs, else
            :data:`~charter.data.questions.CORRECT`.
        as_trained: ask for reasons in the judge's own words, as a model that was trained to give some is
            asked; off = as :func:`open_form` says.
    """
    return tuple(one for group in groups for one in _open(group, question, as_trained))


def open_form(question: Question) -> Question:
    """The question as :func:`open_questions` asks it of a model that was not trained on it.

    It names the ending, ``Verdict: A`` or ``Verdict: B``; no question stands between the two.
    """
    return replace(question, think=_request(question), ask="")


def verdict_of(text: str, question: Question) -> str | None:
    """The verdict a reply ends with, or None: no ``mark``, no verdict after it, or both."""
    _, found, after = text.rpartition(question.mark)
    if not found:
        return None
    words = "|".join(re.escape(word) for word in question.words)
    said = set(re.findall(rf"(?<!\w)(?:{words})(?!\w)", after.replace(question.ask, "")))
    return said.pop() if len(said) == 1 else None


def right_verdicts(groups: Sequence[Group], question: Question) -> VerdictRows:
    """Rows for ``sft``: every reply whose verdict is right, each text once a question."""
    return _rows(groups, question, _imitations)


def verdict_pairs(groups: Sequence[Group], question: Question) -> VerdictRows:
    """Rows for ``dpo``: replies with the right verdict over replies to the same question with the wrong one.

    The first right one meets the first wrong one, and so on; no reply is used twice.
    """
    return _rows(groups, question, _pairs)


def _open(group: Group, question: Question | None, as_trained: bool) -> Iterator[Group]:
    if any(isinstance(said.target, PairTarget) for said in group.judgements):
        asked = question or BETTER
        for one in pair_questions(group, replace(asked, ask=asked.think if as_trained else _request(asked))):
            yield replace(one, samples=(Sample(one.samples[0].context, Completion()),), judgements=())
        return
    asked = question or CORRECT
    (sample,) = group.samples
    word = asked.positive if share(group) >= 0.5 else asked.negative
    request = asked.think if as_trained else _request(asked)
    context = about_answer(sample.context.content, sample.completion.content, request)
    yield Group((Sample(context, Completion()),), (), group.id, group.source, {**group.meta, "verdict": word})


def _request(question: Question) -> str:
    endings = " or ".join(f'"{question.mark} {word}"' for word in question.words)
    return f"{question.think} End with {endings}."


Texts = Sequence[str]


def _imitations(prompt: Any, right: Texts, wrong: Texts, in_turns: bool) -> list[dict[str, Any]]:
    return [{"prompt": prompt, "completion": _said(text, in_turns)} for text in right]


def _pairs(prompt: Any, right: Texts, wrong: Texts, in_turns: bool) -> list[dict[str, Any]]:
    return [
        {"prompt": prompt, "chosen": _said(good, in_turns), "rejected": _said(bad, in_turns)}
        for good, bad in zip(right, wrong, strict=False)
    ]


def _rows(groups: Sequence[Group], question: Question, make: Any) -> VerdictRows:
    rows: list[dict[str, Any]] = []
    counts = {"right": 0, "wrong": 0, "undecided": 0, "unused": 0}
    for group in groups:
        if group.meta.get("verdict") not in question.words:
            raise DataError(
                f"the right verdict of a question is {group.meta.get('verdict')!r}",
                where=group.source or group.id,
                fix="ask with open_questions, which notes it in meta['verdict']",
            )
        sides: dict[str, list[str]] = {"right": [], "wrong": []}
        for sample in group.samples:
            verdict = verdict_of(sample.completion.text, question)
            kind = "undecided" if verdict is None else _kind(verdict, group)
            counts[kind] += 1
            if kind in sides:
                sides[kind].append(sample.completion.text)
        context = group.samples[0].context
        in_turns = not isinstance(context.content, str)
        once = [list(dict.fromkeys(sides[kind])) for kind in ("right", "wrong")]
        made = make(_plain(context), *once, in_turns)
        counts["unused"] += not made
        rows += made
    return VerdictRows(tuple(rows), **counts)


def _kind(verdict: str, group: Group) -> str:
    return "right" if verdict == group.meta["verdict"] else "wrong"


def _plain(context: Context) -> Any:
    return _written(context.content)


def _said(text: str, in_turns: bool) -> Any:
    return _written((Message("assistant", text),)) if in_turns else text


def _written(content: Content) -> Any:
    if isinstance(content, str):
        return content
    return [{"role": turn.role, "content": turn.content} for turn in content]
