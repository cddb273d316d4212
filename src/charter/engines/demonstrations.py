"""Demonstrations: conversations with a good answer, and where it is known a worse one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.data.formats import LoadedData, groups_of
from charter.data.read import Source, read_rows
from charter.errors import DataError
from charter.progress import say
from charter.types import Content, Group, Message, PairTarget, text_of


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One answered conversation.

    Attributes:
        turns: user and assistant turns; the last one is the user's.
        answer: the good answer.
        worse: a worse answer to the same; None = not known.
    """

    turns: tuple[Message, ...]
    answer: str
    worse: str | None = None

    @property
    def query(self) -> str:
        """The last thing that was asked."""
        return self.turns[-1].content


def read_demonstrations(source: Source | Path, *, split: str = "train") -> tuple[Demonstration, ...]:
    """Demonstrations of a data set with answers: preferences, rankings, ratings, completions, conversations.

    Of several answers the one preferred most often is the good one, and the one preferred least often the
    worse one. System turns are left out, as the model that learns from a demonstration has its own; so are
    rows that have no question, tool turns, or nothing that is better than something else. All are counted.

    Raises:
        DataError: not such a data set, or no row of it is left.
    """
    rows = read_rows(str(source) if isinstance(source, Path) else source, split=split)
    loaded = groups_of(rows, "any")
    if loaded.kind == "rated":
        loaded = groups_of(rows, "preference")
    if loaded.kind not in ("preference", "ranked", "rated", "completion", "messages"):
        raise DataError(
            f"rows of the kind {loaded.kind!r} demonstrate nothing",
            where=loaded.name,
            fix="give questions with answers: messages, prompt and completion, or preference pairs",
        )
    return _demonstrations(loaded)


def _demonstrations(loaded: LoadedData) -> tuple[Demonstration, ...]:
    found = [_demonstration(group) for group in loaded.groups]
    kept = tuple(one for one in found if one is not None)
    if not kept:
        raise DataError(
            "no row is a question with an answer", where=loaded.name, fix="see the data page for the formats"
        )
    systems = sum(_has(group, "system") for group in loaded.groups)
    if len(kept) < len(found):
        lost = len(found) - len(kept)
        say(f"demonstrations: {lost} of {len(found)} rows left out: no question, or no answer to it")
    if systems:
        say(f"demonstrations: the system turns of {systems} rows were left out")
    return kept


def _has(group: Group, role: str) -> bool:
    content = group.samples[0].context.content
    return not isinstance(content, str) and any(turn.role == role for turn in content)


def _demonstration(group: Group) -> Demonstration | None:
    best, worst = _ends(group)
    turns = _turns(group.samples[best].context.content)
    answer = _answer(group, best)
    if turns is None or answer is None:
        return None
    return Demonstration(turns, answer, None if worst is None else _answer(group, worst))


def _ends(group: Group) -> tuple[int, int | None]:
    """The best sample and the worst; no worst one where nothing was compared."""
    wins = [0] * len(group.samples)
    for judgement in group.judgements:
        if isinstance(judgement.target, PairTarget):
            wins[judgement.target.better] += 1
            wins[judgement.target.worse] -= 1
    order = sorted(range(len(wins)), key=lambda index: -wins[index])
    return order[0], (order[-1] if wins[order[-1]] < wins[order[0]] else None)


def _turns(content: Content) -> tuple[Message, ...] | None:
    if isinstance(content, str):
        return (Message("user", content.strip()),) if content.strip() else None
    turns = tuple(turn for turn in content if turn.role != "system")
    plain = turns and turns[-1].role == "user" and all(turn.role != "tool" for turn in turns)
    return turns if plain else None


def _answer(group: Group, index: int) -> str | None:
    content: Any = group.samples[index].completion.content
    if not isinstance(content, str) and len(content) != 1:
        return None
    return text_of(content).strip() or None
