"""Formats of answers without a comparison: prompts, texts, conversations, completions, labels."""

from __future__ import annotations

from charter.data.columns import content, items, label, text
from charter.data.group_parts import Built, group_of, judgement_of, prompt_of, sample_of
from charter.data.rows import Row
from charter.data.turns import check_order, parse_turns
from charter.errors import DataError
from charter.types import Completion, Context, Sample, SampleTarget

_CUT = "conversations with turns after the last answer, which were cut"


def prompt_only(row: Row) -> Built:
    """``prompt``: one sample without a completion; every other column is kept in ``meta``."""
    prompt = prompt_of(row)
    return Built((group_of(row, [Sample(Context(prompt), Completion())], used={"prompt"}),))


def plain_text(row: Row) -> Built:
    """``text``: everything is trained, after an empty context."""
    sample = Sample(Context(""), Completion(text(row, "text")))
    return Built((group_of(row, [sample], used={"text"}),))


def messages(row: Row) -> Built:
    """``messages``: everything before the first assistant turn is the context."""
    name, value = items(row, "messages")
    turns = parse_turns(value, where=row.source, column=name)
    check_order(turns, where=row.source, column=name)
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    if not answers:
        raise DataError(f"{name!r} has no assistant turn", where=row.source, fix="remove the row")
    kept = turns[: answers[-1] + 1]
    sample = Sample(Context(kept[: answers[0]]), Completion(kept[answers[0] :]))
    changes = (_CUT,) if len(kept) < len(turns) else ()
    return Built((group_of(row, [sample], used={name}),), changes)


def prompt_completion(row: Row) -> Built:
    """``prompt`` and ``completion``."""
    sample = sample_of(prompt_of(row), content(row, "completion"), row, "completion")
    return Built((group_of(row, [sample], used={"prompt", "completion"}),))


def unpaired(row: Row) -> Built:
    """``prompt``, ``completion`` and a boolean ``label``: 1.0 is desirable."""
    sample = sample_of(prompt_of(row), content(row, "completion"), row, "completion")
    said = [judgement_of(row, SampleTarget(0), float(label(row)))]
    return Built((group_of(row, [sample], said, used={"prompt", "completion", "label"}),))
