"""CLAIR (2408.06266): the losing answer revised as little as possible, for pairs with a clear contrast.

The revision is chosen, the answer rejected; ``charter train apo-zero`` is the loss the paper pairs it with.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from charter.config import Config
from charter.constitution import Constitution, Principle
from charter.errors import DataError
from charter.feedback.judging.model import OptionModel
from charter.feedback.revising.contrast import Contrast, contrast
from charter.feedback.revising.draw import about, drawn, usable
from charter.feedback.revising.journal import journal_in
from charter.feedback.revising.labels import LabelOptions, label_pairs
from charter.feedback.revising.options import STOP
from charter.feedback.revising.prompts import Wordings, statement, titles_of, wordings
from charter.feedback.revising.record import same_text, without_preface
from charter.feedback.revising.revise import turns_of
from charter.feedback.revising.rows import pair_rows
from charter.feedback.revising.writer import Writer, Writing, Written, journalled
from charter.rundir import sha256_json
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

Fate = Literal["kept", "unchanged", "empty", "cut off", "error", "too large", "no better", "no principle"]
"""What became of a revision; only ``kept`` ones make pairs."""

_IN_WORDS: Mapping[Fate, str] = {
    "kept": "minimal revisions kept",
    "unchanged": "revisions that change nothing",
    "empty": "empty revisions",
    "cut off": "revisions cut off by the length limit",
    "error": "revisions that failed",
    "too large": "revisions that change too much",
    "no better": "revisions a judge does not prefer",
    "no principle": "answers that no principle is about",
}


class ClairOptions(Config):
    """How losing answers are revised."""

    principles: tuple[str, ...] = ()
    """Ids of the principles to draw from; empty = all that are active."""
    min_levenshtein_ratio: float = Field(0.0, ge=0, le=1)
    """A revision less like the answer is left out; 0 = none is."""
    seed: int = Field(0, ge=0)
    """Decides which principle is drawn where."""
    temperature: float = Field(0.0, ge=0)
    """0 = the most probable revision."""
    max_completion_length: int = Field(512, ge=1)
    """Most tokens of a revision."""
    stop: tuple[str, ...] = STOP
    """Texts that end a reply and are cut off."""


@dataclass(frozen=True)
class Minimal:
    """One losing answer and its revision.

    Attributes:
        group: the revision first, the answer second, with one judgement; None unless ``fate`` is ``kept``.
        contrast: how much it changes; None where there is no revision.
        fate: see :data:`Fate`.
        source: the row it came from.
    """

    group: Group | None
    contrast: Contrast | None
    fate: Fate
    source: str


@dataclass(frozen=True)
class MinimalRevisions:
    """All of them, with counts.

    Attributes:
        revisions: one a losing answer, in order.
        shas: of the wordings used, by name.
    """

    revisions: tuple[Minimal, ...]
    shas: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Pairs to train on."""
        return tuple(one.group for one in self.revisions if one.group is not None)

    def rows(self) -> list[dict[str, Any]]:
        """TRL's preference format with the measures of contrast; for ``charter train apo-zero``."""
        kept = [one for one in self.revisions if one.group is not None]
        return [
            {**row, **(asdict(one.contrast) if one.contrast else {})}
            for row, one in zip(pair_rows(self.groups), kept, strict=True)
        ]

    def counts(self) -> dict[str, int]:
        """What became of every losing answer."""
        fates = [one.fate for one in self.revisions]
        return {words: fates.count(fate) for fate, words in _IN_WORDS.items()}

    def lines(self) -> list[str]:
        """For people: counts that are not zero, and the median contrast of the pairs kept."""
        lines = [f"{count} {what}" for what, count in self.counts().items() if count]
        kept = [one.contrast for one in self.revisions if one.fate == "kept" and one.contrast]
        if kept:
            jaccard = statistics.median(one.jaccard for one in kept)
            ratio = statistics.median(one.levenshtein_ratio for one in kept)
            lines.append(
                f"median Jaccard overlap {jaccard:.2f}, Levenshtein ratio {ratio:.2f} (1 = the same)"
            )
        return lines


def clair(
    groups: Sequence[Group],
    constitution: Constitution,
    reviser: Writer,
    *,
    judge: OptionModel | None = None,
    options: ClairOptions | None = None,
    journals: Path | None = None,
    words: Wordings | None = None,
) -> MinimalRevisions:
    """Revise losing answers as little as possible under a principle each.

    The losing answer is the worse of a judged pair, or the only answer of a group. The principle is the
    one the pair was judged on, else one that is drawn.

    Args:
        groups: single answers, or judged pairs.
        constitution: where principles come from.
        reviser: writes the revisions; a stronger model than the one that answered.
        judge: leaves out revisions that it does not prefer under the same principle, both orders
            averaged; None = none are judged.
        options: see :class:`ClairOptions`.
        journals: folder in which every reply is kept as it comes.
        words: what is asked.

    Raises:
        DataError: a group that says nothing about which answer lost.
        Interrupted: what was written is in the journals; the same call continues.
    """
    options, words = options or ClairOptions(), words or wordings()
    principles = usable(constitution, options.principles)
    losers = [_Loser(group, *_losing(group)) for group in groups]
    mine = [_principle(one, principles, options.seed) for one in losers]
    ready = [(one, principle) for one, principle in zip(losers, mine, strict=True) if principle]
    made = iter(_revised(ready, constitution, reviser, options, journals, words))
    revisions = [
        _minimal(loser, principle, next(made), reviser.name, options)
        if principle
        else Minimal(None, None, "no principle", loser.group.source)
        for loser, principle in zip(losers, mine, strict=True)
    ]
    if judge is not None:
        revisions = _preferred(revisions, constitution, judge, journals, words)
    shas = {name: words[name].sha for name in ("minimal_revision", *(("compare",) if judge else ()))}
    return MinimalRevisions(tuple(revisions), shas)


@dataclass(frozen=True)
class _Loser:
    group: Group
    sample: Sample
    principle: str


def _losing(group: Group) -> tuple[Sample, str]:
    """The answer that lost, and the principle it lost on."""
    pairs = [
        said for said in group.judgements if isinstance(said.target, PairTarget) and said.value is not None
    ]
    if not pairs and len(group.samples) == 1 and group.samples[0].completion.text.strip():
        return group.samples[0], ""
    if len(pairs) != 1 or not isinstance(pairs[0].target, PairTarget):
        raise DataError(
            f"{len(pairs)} comparisons of {len(group.samples)} answers: which one lost is not said",
            where=group.source or group.id,
            fix="give single answers, or judged pairs",
        )
    said, target = pairs[0], pairs[0].target
    turned = said.probability is not None and said.probability < 0.5
    return group.samples[target.better if turned else target.worse], said.principle


def _principle(loser: _Loser, principles: Sequence[Principle], seed: int) -> Principle | None:
    named = [one for one in principles if one.id == loser.principle]
    if named:
        return named[0]
    turns = turns_of(loser.sample.context.content)
    key = sha256_json([[turn.role, turn.content] for turn in turns])
    return next(iter(drawn(about(principles, loser.group), 1, seed=seed, key=key)), None)


def _revised(
    ready: Sequence[tuple[_Loser, Principle]],
    constitution: Constitution,
    reviser: Writer,
    options: ClairOptions,
    journals: Path | None,
    words: Wordings,
) -> list[Written]:
    titles, wording = titles_of(constitution), words["minimal_revision"]
    talks = [
        (
            *turns_of(loser.sample.context.content),
            Message("assistant", loser.sample.completion.text.strip()),
            Message("user", wording.fill(principle=statement(principle, titles))),
        )
        for loser, principle in ready
    ]
    writing = Writing(options.temperature, options.max_completion_length, options.seed, options.stop)
    journal = journal_in(journals, "minimal-revisions")
    return journalled(reviser, journal, talks, writing, label="minimal revisions", prompt_sha=wording.sha)


def _minimal(loser: _Loser, principle: Principle, made: Written, name: str, options: ClairOptions) -> Minimal:
    answer, text = loser.sample.completion.text.strip(), without_preface(made.text)
    found = contrast(answer, text) if text else None
    fate = _fate(made, answer, text, found, options)
    source = loser.group.source
    if fate != "kept":
        return Minimal(None, found, fate, source)
    context = Context(turns_of(loser.sample.context.content))
    samples = (
        Sample(
            context,
            Completion((Message("assistant", text),), finish_reason="stop", sampled_by=made.model or name),
        ),
        Sample(
            context,
            Completion(
                (Message("assistant", answer),),
                finish_reason=loser.sample.completion.finish_reason,
                sampled_by=loser.sample.completion.sampled_by,
            ),
        ),
    )
    said = Judgement(
        PairTarget(0, 1),
        1.0,
        principle=principle.id,
        principle_sha=principle.sha,
        judge="minimal revision",
        reason=f"revised by {made.model or name}",
    )
    meta = {
        **loser.group.meta,
        "principles": [principle.id],
        "principle_shas": [principle.sha],
        "tags": list(loser.group.meta.get("tags", ())),
    }
    return Minimal(Group(samples, (said,), loser.group.id, source, meta), found, fate, source)


def _fate(made: Written, answer: str, text: str, found: Contrast | None, options: ClairOptions) -> Fate:
    if made.error:
        return "error"
    if made.cut:
        return "cut off"
    if found is None:
        return "empty"
    if same_text(answer, text):
        return "unchanged"
    return "too large" if found.levenshtein_ratio < options.min_levenshtein_ratio else "kept"


def _preferred(
    revisions: Sequence[Minimal],
    constitution: Constitution,
    judge: OptionModel,
    journals: Path | None,
    words: Wordings,
) -> list[Minimal]:
    """Revisions whose pair the judge prefers, each under the principle it was written for."""
    kept: dict[str, list[int]] = {}
    for index, one in enumerate(revisions):
        if one.group is not None:
            kept.setdefault(one.group.judgements[0].principle, []).append(index)
    found = list(revisions)
    for principle, indices in kept.items():
        groups = [one.group for index in indices if (one := revisions[index]).group is not None]
        options = LabelOptions(principles=(principle,))
        said = label_pairs(
            [group for group in groups if group is not None],
            constitution,
            judge,
            options=options,
            journals=journals,
            words=words,
        )
        likely = {label.group: label.probability for label in said.labels}
        for number, index in enumerate(indices):
            probability = likely.get(number)
            if probability is None:
                found[index] = replace(found[index], group=None, fate="error")
            elif probability <= 0.5:
                found[index] = replace(found[index], group=None, fate="no better")
    return found
