"""Labels compiled into rows that trainers read: soft labels, weights, and the disagreement kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from charter.feedback.people.heard import Question, choice, question
from charter.feedback.people.votes import Vote, pair_votes
from charter.label import SOURCES, Label, Source

Soft = Literal["votes", "posterior"]
Ties = Literal["half", "drop"]
BothBad = Literal["drop", "tie", "unpaired"]
FileKind = Literal["preference", "unpaired", "rated", "attributes"]

LEAST_WEIGHT = 0.05
"""Weight of the least reliable rater's vote: a number does not silence anybody."""


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What is made of the labels.

    Attributes:
        soft: ``votes``: share of the votes, each weighing its rater's reliability, and the row weighs their
            mean reliability; ``posterior``: Dawid-Skene's probability, which has the reliability in it, so
            that the row weighs 1.
        ties: ``half`` a vote to each answer, or ``drop``.
        both_bad: ``drop`` the vote; count it as a ``tie``; or ``unpaired``: where most raters say so, two
            undesirable answers and no pair.
        sources: whose labels count.
        gold: keep items that test the raters.
        by_group: a row for each group of raters, with a column ``group``.
    """

    soft: Soft = "votes"
    ties: Ties = "half"
    both_bad: BothBad = "drop"
    sources: tuple[Source, ...] = SOURCES
    gold: bool = False
    by_group: bool = False


@dataclass
class Compiled:
    """Rows by kind of file, and every label that is in none of them.

    Attributes:
        rows: by kind, each a format of its own (``charter.data.formats``).
        dropped: labels that taught nothing, by reason.
        used: labels behind the rows.
        unknown: raters without a reliability, who count as the mean of those that have one.
    """

    rows: dict[FileKind, list[dict[str, Any]]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    used: int = 0
    unknown: tuple[str, ...] = ()

    def add(self, kind: FileKind, row: dict[str, Any], labels: int) -> None:
        """One row that ``labels`` labels are behind."""
        self.rows.setdefault(kind, []).append(row)
        self.used += labels


def compile_labels(
    labels: Sequence[Label],
    reliability: Mapping[str, float],
    options: CompileOptions | None = None,
    *,
    posterior: Mapping[Question, float] | None = None,
) -> Compiled:
    """Rows of last words (:attr:`charter.feedback.people.heard.Heard.labels`).

    Args:
        labels: no repeats.
        reliability: of each rater, 0 to 1.
        options: see :class:`CompileOptions`.
        posterior: with ``soft="posterior"``: probability that the first answer of a pair is better.
    """
    chosen = options or CompileOptions()
    made = Compiled()
    kept = list(_usable(labels, chosen, made))
    known = [reliability[one] for one in {label.rater for label in kept} if one in reliability]
    default = fmean(known) if known else 1.0
    made.unknown = tuple(sorted({label.rater for label in kept} - set(reliability)))
    trust = {label.rater: max(LEAST_WEIGHT, reliability.get(label.rater, default)) for label in kept}
    for votes in pair_votes(kept, by_group=chosen.by_group, dropped=made.dropped):
        _pair(votes, trust, chosen, posterior or {}, made)
    _ratings([label for label in kept if label.kind == "rating"], trust, chosen, made)
    for label in kept:
        if label.kind == "revision":
            _revision(label, trust, made)
    if all(abs(label.value or 1.0) == 1.0 for label in kept if label.kind == "pair"):
        for row in made.rows.get("preference", ()):
            row.pop("margin", None)  # nobody said more than which answer is better
    _scale_weights(made)
    return made


def _usable(labels: Iterable[Label], options: CompileOptions, made: Compiled) -> Iterable[Label]:
    for label in labels:
        if label.source not in options.sources:
            made.dropped[f"from source {label.source}"] += 1
        elif label.outcome in ("skipped", "not_applicable"):
            made.dropped[label.outcome.replace("_", " ")] += 1
        elif label.gold is not None and not options.gold:
            made.dropped["gold: a test of the rater"] += 1
        elif label.kind == "spans":
            made.dropped["spans: no trainer reads them"] += 1
        elif options.by_group and not label.group:
            made.dropped["the rater has no group"] += 1
        else:
            yield label


def _pair(
    votes: Sequence[Vote],
    trust: Mapping[str, float],
    options: CompileOptions,
    posterior: Mapping[Question, float],
    made: Compiled,
) -> None:
    """One question's votes as a preference row, or as two undesirable answers."""
    bad = [vote for vote in votes if vote.both_bad]
    if bad and options.both_bad == "unpaired" and 2 * len(bad) > len(votes):
        for side in (0, 1):
            row = _common(votes, votes[0].label, trust, "bad" + "ab"[side])
            row |= {"completion": _answer(votes[0].label, votes[0].sides[side]), "label": False}
            share = sum(trust[vote.rater] for vote in bad) / sum(trust[vote.rater] for vote in votes)
            made.add("unpaired", row | {"probability": share}, len(votes) if side == 0 else 0)
        return
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
    if not values:
        return
    total = sum(trust[vote.rater] for vote, _ in values)
    first = sum(trust[vote.rater] * value for vote, value in values) / total
    label = votes[0].label
    if options.soft == "posterior" and label.kind == "pair" and not options.by_group:
        first = posterior.get(question(label), first)
    better, worse = votes[0].sides if first >= 0.5 else votes[0].sides[::-1]
    row = _common([vote for vote, _ in values], label, trust, votes[0].name)
    row |= {"chosen": _answer(label, better), "rejected": _answer(label, worse)}
    row |= {"probability": max(first, 1.0 - first), "votes": _counts(votes, first >= 0.5)}
    row["disagreement"] = 1.0 - max(Counter(value for _, value in values).values()) / len(values)
    if label.kind == "pair":
        margin = fmean(0.0 if vote.label.value is None else float(vote.label.value) for vote, _ in values)
        row["margin"] = max(0.0, margin if first >= 0.5 else -margin)
    if options.soft == "posterior":
        row["weight"] = 1.0
    made.add("preference", row, len(values))


def _counts(votes: Sequence[Vote], first_is_chosen: bool) -> dict[str, int]:
    sides = ("chosen", "rejected") if first_is_chosen else ("rejected", "chosen")
    found = Counter(
        "both_bad" if vote.both_bad else {1.0: sides[0], 0.0: sides[1], 0.5: "tie"}[vote.value or 0.0]
        for vote in votes
    )
    return {name: found[name] for name in ("chosen", "rejected", "tie", "both_bad")}


def _ratings(
    labels: Sequence[Label], trust: Mapping[str, float], options: CompileOptions, made: Compiled
) -> None:
    """Verdicts of 0 and 1 as desirable and undesirable answers, other ratings as scores."""
    by_principle: dict[str, list[Label]] = {}
    for label in labels:
        if len(label.answers) != 1:
            made.dropped["ratings of other than one answer"] += 1
        else:
            by_principle.setdefault(label.principle, []).append(label)
    for mine in by_principle.values():
        grouped: dict[tuple[str, str], list[Label]] = {}
        for label in mine:
            grouped.setdefault((label.item, label.group if options.by_group else ""), []).append(label)
        if {choice(label) for label in mine} <= {0.0, 1.0}:
            for said in grouped.values():
                _verdict(said, trust, made)
        else:
            _scores(list(grouped.values()), trust, made)


def _verdict(said: Sequence[Label], trust: Mapping[str, float], made: Compiled) -> None:
    share = _mean(said, trust)
    if share == 0.5:
        made.dropped["verdicts split evenly: an answer cannot be taught as both"] += len(said)
        return
    row = _common_of(said, trust, "")
    row |= {"completion": _answer(said[0], 0), "label": share > 0.5, "probability": max(share, 1 - share)}
    yes = sum(choice(label) == 1.0 for label in said)
    made.add("unpaired", row | {"votes": {"yes": yes, "no": len(said) - yes}}, len(said))


def _scores(items: Sequence[Sequence[Label]], trust: Mapping[str, float], made: Compiled) -> None:
    """Answers to one prompt together as rated answers; one alone with its score by principle."""
    by_prompt: dict[tuple[Any, str], list[Sequence[Label]]] = {}
    for said in items:
        by_prompt.setdefault((said[0].prompt, said[0].group), []).append(said)
    for answers in by_prompt.values():
        everybody = [label for said in answers for label in said]
        row = _common_of(everybody, trust, "")
        scores = [_mean(said, trust) for said in answers]
        row["ratings"] = [sorted(float(label.value) for label in said) for said in answers]
        if len(answers) > 1:
            row |= {"responses": [_answer(said[0], 0) for said in answers], "scores": scores}
            made.add("rated", row, len(everybody))
        else:
            row |= {"response": _answer(answers[0][0], 0), "scores": {row["principle"]: scores[0]}}
            made.add("attributes", row, len(everybody))


def _mean(said: Sequence[Label], trust: Mapping[str, float]) -> float:
    total = sum(trust[label.rater] for label in said)
    return sum(trust[label.rater] * float(label.value) for label in said) / total


def _revision(label: Label, trust: Mapping[str, float], made: Compiled) -> None:
    if len(label.answers) != 1:
        made.dropped["revisions of other than one answer"] += 1
    elif label.value.strip() == label.answers[0].strip():
        made.dropped["revisions that change nothing"] += 1
    else:
        row = _common_of([label], trust, f"revised-by-{label.rater}")
        text = label.value if isinstance(label.prompt, str) else _turn(label.value)
        row |= {"chosen": text, "rejected": _answer(label, 0), "probability": 1.0, "tags": ["revision"]}
        made.add("preference", row, 1)


def _common(votes: Sequence[Vote], label: Label, trust: Mapping[str, float], name: str) -> dict[str, Any]:
    return _common_of([vote.label for vote in votes], trust, name) | {"prompt": _prompt(label)}


def _common_of(said: Sequence[Label], trust: Mapping[str, float], name: str) -> dict[str, Any]:
    """What every row has: where it comes from, who spoke, and what the row weighs before scaling."""
    label = said[0]
    row: dict[str, Any] = {
        "id": "/".join(part for part in (label.principle, label.item, name) if part),
        "item": label.item,
        "prompt": _prompt(label),
        "principle": label.principle,
        "principle_sha": label.principle_sha,
        "raters": list(dict.fromkeys(one.rater for one in said)),
        "n": len(said),
        "weight": fmean(trust[one.rater] for one in said),
        "sources": dict(Counter(one.source for one in said)),
    }
    groups = {one.group for one in said}
    if len(groups) == 1 and label.group:
        row["group"] = label.group
    return row


def _prompt(label: Label) -> Any:
    if isinstance(label.prompt, str):
        return label.prompt
    return [{"role": turn.role, "content": turn.content} for turn in label.prompt]


def _answer(label: Label, side: int) -> Any:
    text = label.answers[side]
    return text if isinstance(label.prompt, str) else _turn(text)


def _turn(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _scale_weights(made: Compiled) -> None:
    """Weights of a file are 1 on average: reliability moves attention, not the learning rate."""
    for rows in made.rows.values():
        mean = fmean(row["weight"] for row in rows)
        for row in rows:
            row["reliability"] = row["weight"]
            row["weight"] = row["weight"] / mean
