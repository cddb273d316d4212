"""Ratings as rows: verdicts as desirable and undesirable answers, other ratings as scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.feedback.people.compiled import Compiled, CompileOptions
from charter.feedback.people.heard import is_verdict
from charter.feedback.people.row_parts import Weigher, answer_of, row_of, sure
from charter.label import Label

_Scale = tuple[float, ...]


def rating_rows(labels: Sequence[Label], weigher: Weigher, options: CompileOptions, made: Compiled) -> None:
    """Add the rows of ratings. What is a verdict is said by the scale, never by the ratings there are."""
    parts: dict[tuple[str, _Scale], list[Label]] = {}
    for label in labels:
        if len(label.answers) != 1:
            made.dropped["ratings of other than one answer"] += 1
            continue
        made.without_scale += not label.scale
        parts.setdefault((label.principle, label.scale), []).append(label)
    scales = [principle for principle, scale in parts if not is_verdict(parts[principle, scale][0])]
    for (principle, scale), mine in parts.items():
        grouped: dict[tuple[str, str], list[Label]] = {}
        for label in mine:
            grouped.setdefault((label.item, label.group if options.by_group else ""), []).append(label)
        if is_verdict(mine[0]):
            for said in grouped.values():
                _verdict(said, weigher, made)
        else:
            # A principle rated on several scales has rows of each, told apart by name.
            several = scales.count(principle) > 1
            _scores(grouped, weigher, made, _named(scale) if several else "")


def _named(scale: _Scale) -> str:
    return f"{scale[0]:g}-to-{scale[1]:g}" if scale else "no-scale"


def _verdict(said: Sequence[Label], weigher: Weigher, made: Compiled) -> None:
    share = weigher.mean([(label, sure(label, float(label.value))) for label in said])
    if share == 0.5:
        made.dropped["verdicts split evenly: an answer cannot be taught as both"] += len(said)
        return
    row = row_of(said, weigher, "")
    row |= {"completion": answer_of(said[0], 0), "label": share > 0.5, "probability": max(share, 1 - share)}
    yes = sum(label.value == 1 for label in said)
    row |= {"votes": {"yes": yes, "no": len(said) - yes}} | made.decision(said)
    made.add("unpaired", row, len(said))


def _scores(
    items: Mapping[tuple[str, str], Sequence[Label]], weigher: Weigher, made: Compiled, name: str
) -> None:
    """Answers to one prompt together as rated answers; one alone with its score by principle."""
    by_prompt: dict[tuple[Any, str], list[Sequence[Label]]] = {}
    for (_, group), said in items.items():
        by_prompt.setdefault((said[0].prompt, group), []).append(said)
    for answers in by_prompt.values():
        everybody = [label for said in answers for label in said]
        row = row_of(everybody, weigher, name)
        scores = [weigher.mean([(label, float(label.value)) for label in said]) for said in answers]
        row["ratings"] = [sorted(float(label.value) for label in said) for said in answers]
        if answers[0][0].scale:
            row["scale"] = list(answers[0][0].scale)
        row |= made.decision(everybody)
        if len(answers) > 1:
            row |= {"responses": [answer_of(said[0], 0) for said in answers], "scores": scores}
            made.add("rated", row, len(everybody))
        else:
            row |= {"response": answer_of(answers[0][0], 0), "scores": {row["principle"]: scores[0]}}
            made.add("attributes", row, len(everybody))
