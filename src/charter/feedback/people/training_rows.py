"""Labels compiled into rows that trainers read: soft labels, weights, and the disagreement kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from charter.feedback.people.compiled import Compiled, CompileOptions
from charter.feedback.people.heard import Question, question
from charter.feedback.people.marks import attach_marks
from charter.feedback.people.rating_rows import rating_rows
from charter.feedback.people.row_parts import (
    LEAST_WEIGHT,
    Weigher,
    answer_of,
    in_form_of,
    large_groups,
    own_weight,
    row_of,
    sure,
)
from charter.feedback.people.usable import usable
from charter.feedback.people.votes import Vote, pair_votes
from charter.label import Label, is_decision


def compile_labels(
    labels: Sequence[Label],
    reliability: Mapping[str, float],
    options: CompileOptions | None = None,
    *,
    posterior: Mapping[Question, float] | None = None,
) -> Compiled:
    """Rows of last words and decisions (:class:`charter.feedback.people.heard.Heard`).

    Args:
        labels: no repeats.
        reliability: of each rater, 0 to 1.
        options: see :class:`charter.feedback.people.compiled.CompileOptions`.
        posterior: with ``soft="posterior"``: probability that the first answer of a pair is better.

    Raises:
        DataError: a label's own weight or probability is none.
    """
    chosen = options or CompileOptions()
    made = Compiled()
    groups = large_groups(labels, chosen.least_group)
    kept = usable(labels, chosen, groups, made)
    voices = {label.rater for label in kept if not is_decision(label)}
    known = [reliability[one] for one in voices if one in reliability]
    default = fmean(known) if known else 1.0
    made.unknown = tuple(sorted(voices - set(reliability)))
    weigher = Weigher({one: max(LEAST_WEIGHT, reliability.get(one, default)) for one in voices}, groups)
    for votes in pair_votes(kept, by_group=chosen.by_group, dropped=made.dropped):
        _pair(votes, weigher, chosen, posterior or {}, made)
    rating_rows([label for label in kept if label.kind == "rating"], weigher, chosen, made)
    for label in kept:
        if label.kind == "ranking":
            _ranking(label, weigher, made)
        elif label.kind == "revision":
            _revision(label, weigher, made)
    attach_marks([label for label in kept if label.kind == "spans"], made)
    if all(abs(label.value or 1.0) == 1.0 for label in kept if label.kind == "pair"):
        for row in made.rows.get("preference", ()):
            row.pop("margin", None)  # nobody said more than which answer is better
    _scale_weights(made)
    return made


def _pair(
    votes: Sequence[Vote],
    weigher: Weigher,
    options: CompileOptions,
    posterior: Mapping[Question, float],
    made: Compiled,
) -> None:
    """One question's votes as a preference row, or as two undesirable answers."""
    bad = [vote for vote in votes if vote.both_bad]
    if bad and options.both_bad == "unpaired" and 2 * len(bad) > len(votes):
        _two_bad(votes, bad, weigher, made)
        return
    values = _values(votes, options, made)
    if not values:
        return
    label = votes[0].label
    decided = is_decision(label)
    first = weigher.mean([(vote.label, sure(vote.label, value)) for vote, value in values])
    told = options.soft == "posterior" and label.kind == "pair" and not options.by_group and not decided
    by_model = posterior.get(question(label)) if told else None
    first = first if by_model is None else by_model
    better, worse = votes[0].sides if first >= 0.5 else votes[0].sides[::-1]
    said = [vote.label for vote, _ in values]
    row = row_of(said, weigher, votes[0].name)
    row |= {"chosen": answer_of(label, better), "rejected": answer_of(label, worse)}
    row |= {"probability": max(first, 1.0 - first), "votes": _counts(votes, first >= 0.5)}
    row["disagreement"] = 1.0 - max(Counter(value for _, value in values).values()) / len(values)
    if label.kind == "pair":
        margin = fmean(0.0 if one.value is None else float(one.value) for one in said)
        row["margin"] = max(0.0, margin if first >= 0.5 else -margin)
    if by_model is not None:
        row["weight"] = fmean(own_weight(one) for one in said)  # the raters' reliability is in it
    made.add("preference", row | made.decision(said), len(values))


def _two_bad(votes: Sequence[Vote], bad: Sequence[Vote], weigher: Weigher, made: Compiled) -> None:
    label = votes[0].label
    said = [vote.label for vote in votes]
    share = sum(weigher.of(vote.label) for vote in bad) / sum(weigher.of(one) for one in said)
    decision = made.decision(said)
    for side in (0, 1):
        row = row_of(said, weigher, "bad" + "ab"[side]) | decision
        row |= {"completion": answer_of(label, votes[0].sides[side]), "label": False, "probability": share}
        made.add("unpaired", row, len(votes) if side == 0 else 0)


def _values(votes: Sequence[Vote], options: CompileOptions, made: Compiled) -> list[tuple[Vote, float]]:
    """The votes that count as 1, 0.5 or 0 for the first side; the others are counted."""
    values = []
    for vote in votes:
        value = vote.value
        if vote.both_bad:
            value = 0.5 if options.both_bad == "tie" else None
            if value is None:
                made.dropped[f"both bad (policy: {options.both_bad})"] += 1
        elif value == 0.5 and options.ties == "drop":
            value = None
            made.dropped["ties (policy: drop)"] += 1
        if value is not None:
            values.append((vote, value))
    return values


def _counts(votes: Sequence[Vote], first_is_chosen: bool) -> dict[str, int]:
    sides = ("chosen", "rejected") if first_is_chosen else ("rejected", "chosen")
    found = Counter(
        "both_bad" if vote.both_bad else {1.0: sides[0], 0.0: sides[1], 0.5: "tie"}[vote.value or 0.0]
        for vote in votes
    )
    return {name: found[name] for name in ("chosen", "rejected", "tie", "both_bad")}


def _ranking(label: Label, weigher: Weigher, made: Compiled) -> None:
    """A rater's ranking as a row of its own: what is trained on whole rankings takes no soft pairs."""
    if label.outcome != "judged" or len(set(label.value)) < 2:
        return
    row: dict[str, Any] = row_of([label], weigher, f"ranked-by-{label.rater}")
    row |= {"responses": [answer_of(label, side) for side in range(len(label.answers))]}
    made.add("ranked", row | {"ranks": list(label.value)}, 0)


def _revision(label: Label, weigher: Weigher, made: Compiled) -> None:
    """A revision over what it revises, and alone as an answer to imitate."""
    if len(label.answers) != 1:
        made.dropped["revisions of other than one answer"] += 1
        return
    if label.value.strip() == label.answers[0].strip():
        made.dropped["revisions that change nothing"] += 1
        return
    text = in_form_of(label, label.value)
    row = row_of([label], weigher, f"revised-by-{label.rater}") | {"tags": ["revision"]}
    made.add("sft", row | {"completion": text}, 0)
    pair = {"chosen": text, "rejected": answer_of(label, 0), "probability": sure(label, 1.0)}
    made.add("preference", row | pair, 1)


def _scale_weights(made: Compiled) -> None:
    """Weights of a file are 1 on average: reliability moves attention, not the learning rate."""
    for rows in made.rows.values():
        mean = fmean(row["weight"] for row in rows)
        for row in rows:
            row["weight"] = row["weight"] / mean
