"""What a person should know about a data set before training on it; one function per question."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.data.prepare import is_blank
from charter.stats.intervals import wilson
from charter.types import Completion, Content, Group, PairTarget, SampleTarget

Severity = Literal["error", "warning", "info"]
"""``error``: training refuses the rows; ``warning``: look at it; ``info``: good to know."""

_EXAMPLES = 5
_SKEWED = 0.6


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the data.

    Attributes:
        severity: see :data:`Severity`.
        name: short and stable, for scripts.
        message: the fact in words, with its number.
        count: rows (or pairs) concerned.
        examples: where the first few are.
    """

    severity: Severity
    name: str
    message: str
    count: int = 0
    examples: tuple[str, ...] = ()


def prompt_text(content: Content) -> str:
    """What the person asks: plain text as it is, the user turns of a conversation."""
    if isinstance(content, str):
        return content
    return "\n".join(turn.content for turn in content if turn.role == "user")


def answer_text(completion: Completion) -> str:
    """What the model answers: plain text as it is, the assistant turns of a conversation."""
    if isinstance(completion.content, str):
        return completion.content
    return "\n".join(turn.content for turn in completion.content if turn.role == "assistant")


def empty_completions(groups: Sequence[Group]) -> Finding | None:
    """Completions with nothing but white space; their groups are dropped."""
    hit = [g for g in groups if any(is_blank(s.completion) for s in g.samples)]
    return _found("warning", "empty-completion", "{n} groups with an empty completion are dropped", hit)


def empty_prompts(groups: Sequence[Group]) -> Finding | None:
    """Contexts that ask nothing."""
    hit = [g for g in groups if any(_asks_nothing(s.context.content) for s in g.samples)]
    return _found("warning", "empty-prompt", "{n} groups have a prompt that says nothing", hit)


def duplicates(groups: Sequence[Group]) -> Finding | None:
    """Rows that repeat an earlier row with its judgements."""

    def key(group: Group) -> Hashable:
        said = tuple((j.target, j.value, j.probability, j.principle) for j in group.judgements)
        return (tuple((s.context.content, s.completion.content) for s in group.samples), said)

    return _found("warning", "duplicate", "{n} rows repeat an earlier row exactly", _repeats(groups, key))


def duplicate_prompts(groups: Sequence[Group]) -> Finding | None:
    """Rows whose prompt an earlier row has too."""
    hit = _repeats(groups, lambda g: g.samples[0].context.content)
    return _found("info", "duplicate-prompt", "{n} rows have the prompt of an earlier row", hit)


def duplicate_ids(groups: Sequence[Group]) -> Finding | None:
    """Rows with the id of an earlier row."""
    return _found(
        "warning", "duplicate-id", "{n} rows have the id of an earlier row", _repeats(groups, lambda g: g.id)
    )


def equal_pairs(groups: Sequence[Group]) -> Finding | None:
    """Preferences between two equal completions."""
    hit = [g for g, better, worse in _pairs(groups) if better.content == worse.content]
    # Training refuses data that loses more than half of its rows.
    severity: Severity = "error" if len(hit) > len(groups) / 2 else "warning"
    return _found(severity, "chosen-equals-rejected", "{n} preferences are between equal completions", hit)


def contradictions(groups: Sequence[Group]) -> Finding | None:
    """Preferences A over B for which B over A is said too, for the same prompt and principle."""
    said: dict[tuple[Hashable, ...], list[Group]] = defaultdict(list)
    for group in groups:
        for judgement in group.judgements:
            if isinstance(judgement.target, PairTarget):
                better, worse = (group.samples[i] for i in (judgement.target.better, judgement.target.worse))
                key = (better.context.content, judgement.principle)
                said[(*key, better.completion.content, worse.completion.content)].append(group)
    hit = [
        group
        for key, where in said.items()
        if key[-1] != key[-2] and (*key[:-2], key[-1], key[-2]) in said
        for group in where
    ]
    return _found("warning", "contradiction", "{n} preferences are contradicted by another row", hit)


def length_skew(groups: Sequence[Group]) -> Finding | None:
    """Whether the preferred completion is simply the longer one (in words)."""
    lengths = [(_words(better), _words(worse)) for _, better, worse in _pairs(groups)]
    uneven = [(a, b) for a, b in lengths if a != b]
    if not uneven:
        return None
    longer = sum(a > b for a, b in uneven)
    low, high = wilson(longer, len(uneven))
    skewed = low > _SKEWED or high < 1 - _SKEWED
    message = (
        f"the preferred completion is the longer one in {longer / len(uneven):.0%} of {len(uneven)} pairs "
        f"of different length (95% interval {low:.0%} to {high:.0%})"
    )
    return Finding("warning" if skewed else "info", "length-skew", message, longer)


def one_sided_labels(groups: Sequence[Group]) -> Finding | None:
    """Labels that are all the same."""
    labels = Counter(
        j.value
        for g in groups
        for j in g.judgements
        if len(g.samples) == 1 and isinstance(j.target, SampleTarget) and j.value in (0.0, 1.0)
    )
    if len(labels) != 1:
        return None
    value, count = labels.most_common(1)[0]
    word = "desirable" if value else "undesirable"
    return Finding("warning", "one-sided-labels", f"all {count} labels are {word}", count)


QUESTIONS: tuple[Callable[[Sequence[Group]], Finding | None], ...] = (
    empty_prompts,
    duplicates,
    duplicate_prompts,
    duplicate_ids,
    equal_pairs,
    contradictions,
    length_skew,
    one_sided_labels,
)
"""Everything asked of every data set (empty completions only where completions are expected)."""


def examples_of(groups: Iterable[Group]) -> tuple[str, ...]:
    """Where the first few groups come from."""
    return tuple(dict.fromkeys(group.source for group in groups))[:_EXAMPLES]


def _found(severity: Severity, name: str, message: str, hit: Sequence[Group]) -> Finding | None:
    if not hit:
        return None
    return Finding(severity, name, message.format(n=len(hit)), len(hit), examples_of(hit))


def _repeats(groups: Sequence[Group], key: Callable[[Group], Hashable]) -> list[Group]:
    seen: set[Hashable] = set()
    hit = []
    for group in groups:
        value = key(group)
        if value in seen:
            hit.append(group)
        seen.add(value)
    return hit


def _pairs(groups: Sequence[Group]) -> list[tuple[Group, Completion, Completion]]:
    return [
        (g, g.samples[j.target.better].completion, g.samples[j.target.worse].completion)
        for g in groups
        for j in g.judgements
        if isinstance(j.target, PairTarget)
    ]


def _asks_nothing(content: Content) -> bool:
    return content != "" and not prompt_text(content).strip()


def _words(completion: Completion) -> int:
    return len(answer_text(completion).split())
