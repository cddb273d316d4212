"""Which labels rows are made of, and why the others are not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from charter.feedback.people.compiled import Compiled, CompileOptions
from charter.feedback.people.heard import decided_question
from charter.label import Label, is_decision

REPLACED = "labels of items that somebody decided"
UNCLEAR = "labels of items whose principle's text was found unclear"


def usable(
    labels: Sequence[Label], options: CompileOptions, groups: Collection[str], made: Compiled
) -> list[Label]:
    """The labels that count; ``made`` is told what is left out, and what decisions took the place of.

    A decision stands alone for its item, except where every group has rows of its own: who decides is of no
    group, and a group's disagreement is what those rows are for.

    Args:
        labels: last words and decisions.
        options: what is asked for.
        groups: large enough to be named.
        made: see above.
    """
    kept = list(_kept(labels, options, groups, made))
    decided = {decided_question(label) for label in kept if is_decision(label)}
    found = []
    for label in kept:
        if not is_decision(label) and decided_question(label) in decided:
            made.replaced[decided_question(label)] += 1
            made.dropped[REPLACED] += 1
        elif label.outcome == "not_applicable":
            made.dropped["not applicable"] += 1
        else:
            found.append(label)
    return found


def _kept(
    labels: Sequence[Label], options: CompileOptions, groups: Collection[str], made: Compiled
) -> Iterator[Label]:
    for label in labels:
        if why := _left_out(label, options, groups):
            made.dropped[why] += 1
        else:
            yield label


def _left_out(label: Label, options: CompileOptions, groups: Collection[str]) -> str:
    """Why a label makes no row; "" = it does."""
    if label.source not in options.sources:
        return f"from source {label.source}"
    if label.outcome == "skipped":
        return "skipped"
    if label.gold is not None and not options.gold:
        return "gold: a test of the rater"
    if label.meta.get("unclear"):
        return UNCLEAR
    if options.by_group and is_decision(label):
        return "decisions, which are of no group"
    if options.by_group and not label.group:
        return "the rater has no group"
    if options.by_group and label.group not in groups:
        return f"of a group with fewer than {options.least_group} raters"
    return ""
