"""Preference rows: a chosen and a rejected answer, with a prompt or after a shared beginning."""

from __future__ import annotations

from dataclasses import replace

from charter.data.columns import as_content, content, optional_number, require
from charter.data.group_parts import Built, check_prompt, group_of, judgement_of, named_scores, sample_of
from charter.data.rows import Row
from charter.data.shared_prompt import split_shared
from charter.data.turns import check_order
from charter.types import Content, Judgement, Message, PairTarget, SampleTarget

_SPLIT = "preference rows split into two labelled answers"
_OF_A_PAIR = ("margin", "probability")


def preference(row: Row, has_prompt: bool) -> Built:
    """``chosen`` and ``rejected`` with a prompt, or with the prompt as their shared beginning."""
    prompt, sides = _sides(row, has_prompt)
    samples = [sample_of(prompt, side, row, name) for name, side in sides.items()]
    margin = optional_number(row, "margin")
    said = [judgement_of(row, PairTarget(0, 1), 1.0 if margin is None else margin)]
    said += [*_side_scores(row, "chosen_scores", 0), *_side_scores(row, "rejected_scores", 1)]
    used = {"prompt", "chosen", "rejected", "chosen_scores", "rejected_scores"}
    group = group_of(row, samples, said, used=used)
    if margin is not None:  # without it nobody could tell a margin of 1 from a pair that has none
        group = replace(group, meta={**group.meta, "margin": margin})
    return Built((group,))


def split_preference(row: Row, has_prompt: bool) -> Built:
    """A preference row as a desirable and an undesirable answer."""
    whole = preference(row, has_prompt).groups[0]
    said = replace(whole.judgements[0], target=SampleTarget(0), probability=None)
    # How sure the pair is says nothing about one answer alone: kept for people, not for training.
    of_the_pair = {name: row.values[name] for name in _OF_A_PAIR if row.values.get(name) is not None}
    halves = (
        replace(
            whole,
            meta={**whole.meta, **of_the_pair},
            samples=(sample,),
            judgements=(replace(said, value=value),),
            id=f"{whole.id}:{name}",
        )
        for sample, value, name in zip(whole.samples, (1.0, 0.0), ("chosen", "rejected"), strict=True)
    )
    return Built(tuple(halves), (_SPLIT,))


def _side_scores(row: Row, column: str, sample: int) -> list[Judgement]:
    """``{name: score}`` of one side: what other objectives say of it; null = not measured."""
    return named_scores(row, row.values.get(column), column, sample)


def _sides(row: Row, has_prompt: bool) -> tuple[Content, dict[str, Content]]:
    sides = {name: content(row, name) for name in ("chosen", "rejected")}
    if has_prompt:
        prompt = as_content(require(row, "prompt")[1], where=row.source, column="prompt")
        if not _repeats_prompt(prompt, sides):
            check_prompt(prompt, row)
            return prompt, sides
    for name, side in sides.items():
        if not isinstance(side, str):
            check_order(side, where=row.source, column=name)
    shared, chosen, rejected = split_shared(sides["chosen"], sides["rejected"], where=row.source)
    check_prompt(shared, row)
    return shared, {"chosen": chosen, "rejected": rejected}


def _repeats_prompt(prompt: Content, sides: dict[str, Content]) -> bool:
    """A text prompt beside whole conversations that begin with it (UltraFeedback's layout)."""
    if not isinstance(prompt, str):
        return False
    firsts = [
        next((turn for turn in side if turn.role != "system"), None)
        for side in sides.values()
        if not isinstance(side, str)
    ]
    return len(firsts) == len(sides) and all(first == Message("user", prompt) for first in firsts)
