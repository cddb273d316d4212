"""From typed groups to token ids ready for training; everything left out is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from charter.data.formats import LoadedData
from charter.data.render import Template
from charter.data.rows import OnBad
from charter.data.truncate import TruncationMode, check_limits, truncate
from charter.errors import DataError
from charter.types import Completion, Group, Judgement, PairTarget, Sample

EMPTY = "empty completion"
EQUAL = "chosen equals rejected"
EQUAL_PAIRS = "pairs of equal completions removed from larger groups"
UNTRAINED = "no trained token"
UNRENDERED = "could not be rendered"
TYPED_SPECIAL = "text rows with special tokens encoded as plain characters"


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What was prepared and what was lost.

    Attributes:
        loaded: counts from reading and recognising the rows.
        groups: groups that came in.
        kept: groups that went out.
        dropped: groups left out, by reason.
        first: where each reason was met first.
        changed: groups that were altered and kept, by what was done.
        context_tokens: tokens in contexts, each sample counted.
        completion_tokens: tokens in completions.
        trained_tokens: tokens that carry a loss.
        notes: what else a person should know.
    """

    loaded: Mapping[str, int]
    groups: int
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    context_tokens: int = 0
    completion_tokens: int = 0
    trained_tokens: int = 0
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report for the console, one fact a line."""
        lines = [f"{self.kept} of {self.groups} groups kept"]
        lines += [f"{count} {what}" for what, count in self.loaded.items() if count and what != "rows read"]
        lines += [f"{count} dropped: {why} (first: {self.first[why]})" for why, count in self.dropped.items()]
        lines += [f"{count} {what}" for what, count in self.changed.items()]
        lines += self.notes
        counts = f"{self.context_tokens} context tokens"
        if self.completion_tokens:  # prompts have none yet
            counts += f", {self.completion_tokens} completion tokens, {self.trained_tokens} of them trained"
        return [*lines, counts]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Groups with token ids, and the report of what happened to the rest."""

    groups: tuple[Group, ...]
    report: PrepareReport


def prepare(
    loaded: LoadedData,
    template: Template,
    max_length: int | None = None,
    *,
    max_prompt_length: int | None = None,
    truncation_mode: TruncationMode = "keep_end",
    max_drop_fraction: float = 0.5,
    on_bad: OnBad = "error",
    advance: Callable[[int], None] | None = None,
) -> Prepared:
    """Render and truncate every group; drop what cannot be trained on, and count it.

    Args:
        loaded: groups from :func:`charter.data.formats.load_groups`.
        template: the tokenizer's template.
        max_length: most tokens of context and completion together; None for no limit.
        max_prompt_length: most tokens of a context; None cuts no context.
        truncation_mode: which end of a long context stays.
        max_drop_fraction: losing a larger share than this is an error.
        on_bad: what to do with a group that cannot be rendered.
        advance: called with 1 after each group, for a progress bar.

    Raises:
        DataError: a group cannot be rendered (``on_bad="error"``), nothing is
            left, or too much was lost.
    """
    check_limits(max_length, max_prompt_length, truncation_mode)
    if not 0.0 <= max_drop_fraction <= 1.0:
        raise DataError(f"max_drop_fraction lies between 0 and 1, not {max_drop_fraction:g}")
    tally = _Tally()
    kept: list[Group] = []
    with_completions = loaded.kind != "prompts"
    for group in loaded.groups:
        ready = _without_equals(group, tally) if with_completions else group
        ready = None if ready is None else _rendered(ready, template, on_bad, tally)
        if ready is not None and with_completions:
            ready = _trainable(ready, tally)
        if ready is not None:
            cut = truncate(ready, max_length, max_prompt_length, truncation_mode)
            tally.changed["contexts cut"] += cut.contexts_cut
            tally.changed["completions cut"] += cut.completions_cut
            if cut.group is None:
                tally.drop(cut.reason, group)
            else:
                kept.append(cut.group)
        if advance is not None:
            advance(1)
    _refuse_too_few(len(kept), loaded, tally, max_drop_fraction)
    return Prepared(tuple(kept), _report(kept, loaded, template, tally))


class _Tally:
    """Counts of what was dropped and changed, with the first place of each reason."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def drop(self, reason: str, group: Group) -> None:
        self.dropped[reason] += 1
        self.first.setdefault(reason, group.source)


def is_blank(completion: Completion) -> bool:
    """Whether a completion says nothing: no turn of the model has more than white space."""
    if completion.token_ids:
        return False
    if isinstance(completion.content, str):
        return not completion.content.strip()
    return not any(turn.content.strip() for turn in completion.content if turn.role == "assistant")


def _without_equals(group: Group, tally: _Tally) -> Group | None:
    """The group if no completion is blank, without judgements on pairs that do not differ."""
    if any(is_blank(sample.completion) for sample in group.samples):
        tally.drop(EMPTY, group)
        return None
    contents = [(s.context.content, s.completion.content, s.completion.token_ids) for s in group.samples]
    return _drop_pairs(group, lambda i, j: contents[i] == contents[j], tally)


def _trainable(group: Group, tally: _Tally) -> Group | None:
    """The group if every completion has a trained token and the pairs differ in their ids."""
    if not all(any(sample.completion.trained) for sample in group.samples):
        tally.drop(UNTRAINED, group)
        return None
    ids = [(sample.context.token_ids, sample.completion.token_ids) for sample in group.samples]
    return _drop_pairs(group, lambda i, j: ids[i] == ids[j], tally)


def _drop_pairs(group: Group, equal: Callable[[int, int], bool], tally: _Tally) -> Group | None:
    def is_equal_pair(judgement: Judgement) -> bool:
        target = judgement.target
        return isinstance(target, PairTarget) and equal(target.better, target.worse)

    kept = tuple(judgement for judgement in group.judgements if not is_equal_pair(judgement))
    lost = len(group.judgements) - len(kept)
    if not lost:
        return group
    if not any(isinstance(judgement.target, PairTarget) for judgement in kept):
        tally.drop(EQUAL, group)
        return None
    tally.changed[EQUAL_PAIRS] += lost
    return replace(group, judgements=kept)


def _rendered(group: Group, template: Template, on_bad: OnBad, tally: _Tally) -> Group | None:
    try:
        return template.render(group)
    except DataError:
        if on_bad == "error":
            raise
        tally.drop(UNRENDERED, group)
        return None


def _refuse_too_few(kept: int, loaded: LoadedData, tally: _Tally, max_drop_fraction: float) -> None:
    total = len(loaded.groups)
    reasons = "; ".join(f"{count} {why} (first: {tally.first[why]})" for why, count in tally.dropped.items())
    if not kept:
        nothing = f"no group is left to train on: {reasons}"
        raise DataError(nothing, where=loaded.name or None, fix=_advice(tally))
    lost = (total - kept) / total
    if lost > max_drop_fraction:
        raise DataError(
            f"{total - kept} of {total} groups would be dropped "
            f"({lost:.0%}, allowed {max_drop_fraction:.0%}): {reasons}",
            where=loaded.name or None,
            fix=_advice(tally),
        )


def _advice(tally: _Tally) -> str:
    by_length = sum(n for why, n in tally.dropped.items() if why not in (EMPTY, EQUAL, UNTRAINED, UNRENDERED))
    if by_length * 2 > sum(tally.dropped.values()):
        return "raise max_length, or set max_prompt_length"
    return "clean the data, or raise max_drop_fraction"


def _report(kept: Sequence[Group], loaded: LoadedData, template: Template, tally: _Tally) -> PrepareReport:
    changed = {what: count for what, count in tally.changed.items() if count}
    typed = sum(_types_special(group, template) for group in kept)
    if typed and not template.pre_rendered:
        changed[TYPED_SPECIAL] = typed
    samples = [sample for group in kept for sample in group.samples]
    return PrepareReport(
        loaded=loaded.counts,
        groups=len(loaded.groups),
        kept=len(kept),
        dropped=dict(tally.dropped),
        first=tally.first,
        changed=changed,
        context_tokens=sum(len(sample.context.token_ids) for sample in samples),
        completion_tokens=sum(len(sample.completion.token_ids) for sample in samples),
        trained_tokens=sum(sum(sample.completion.trained) for sample in samples),
        notes=_notes(samples, template),
    )


def _notes(samples: Sequence[Sample], template: Template) -> tuple[str, ...]:
    in_turns = any(not isinstance(sample.context.content, str) for sample in samples)
    if in_turns and template.generation_mask == "differs":
        return ("the template's own {% generation %} marks differ from the assistant turns trained here",)
    return ()


def _types_special(group: Group, template: Template) -> bool:
    """Whether a text row holds special tokens (in a conversation they are plain without saying)."""
    texts = [
        text
        for sample in group.samples
        if isinstance(sample.context.content, str)
        for text in (sample.context.content, sample.completion.content)
    ]
    return any(isinstance(text, str) and template.special.occurs_in(text) for text in texts)
