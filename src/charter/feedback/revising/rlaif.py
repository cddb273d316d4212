"""RLAIF (2309.00267): AI labels as data for a reward model, or an AI score as the reward itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from charter.constitution import Constitution, Principle
from charter.errors import ConfigError
from charter.feedback.judging.model import OptionModel, Question
from charter.feedback.revising.comparisons import conversation, mark_of
from charter.feedback.revising.draw import about, drawn, usable
from charter.feedback.revising.journal import Journal, journal_in
from charter.feedback.revising.labels import Labels
from charter.feedback.revising.option_answers import option_answers
from charter.feedback.revising.probabilities import expected_score, mean, normalised_score, shares
from charter.feedback.revising.prompts import Wordings, statement, titles_of, wordings
from charter.feedback.revising.rows import pair_rows
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.outcome import Said, error, judgement, not_applicable
from charter.rundir import sha256_json
from charter.stats.intervals import Interval, wilson
from charter.types import Completion, Content, Context, Group, Judgement, Message, PairTarget, Sample

SCORES = tuple(str(score) for score in range(1, 11))
"""Options of the direct score. Each is scored as a whole answer: "10" begins with "1"."""


# -- canonical: labels for a reward model ---------------------------------------------------------


@dataclass(frozen=True)
class Labelled:
    """Labelled pairs, better first, ready for a reward model.

    Attributes:
        groups: two samples and one soft judgement each.
        counts: what was left out, by reason.
    """

    groups: tuple[Group, ...]
    counts: Mapping[str, int]

    def rows(self) -> list[dict[str, Any]]:
        """TRL's preference format with ``probability``: the soft target of ``charter train reward``."""
        return pair_rows(self.groups)


def labelled_pairs(groups: Sequence[Group], labels: Labels, *, min_confidence: float = 0.0) -> Labelled:
    """The labelled pairs as groups of two, better first.

    Args:
        groups: those that were labelled.
        labels: of :func:`charter.feedback.revising.labels.label_pairs`.
        min_confidence: least distance of a probability from one half; the paper keeps every pair.
    """
    if not 0 <= min_confidence < 0.5:
        raise ConfigError(f"min_confidence must be at least 0 and below 0.5, not {min_confidence}")
    counts = {"pairs without a label": 0, f"pairs closer than {min_confidence:g} to one half": 0}
    unlabelled, unsure = counts
    found = []
    for label in labels.labels:
        said = label.judgement
        if said.probability is None or not isinstance(said.target, PairTarget):
            counts[unlabelled] += 1
        elif said.probability - 0.5 < min_confidence:
            counts[unsure] += 1
        else:
            group = groups[label.group]
            better, worse = said.target.better, said.target.worse
            meta = {
                **group.meta,
                "principles": [one.principle for one in label.opinions],
                "principle_shas": [one.principle_sha for one in label.opinions],
                "tags": list(group.meta.get("tags", ())),
            }
            found.append(
                replace(
                    group,
                    samples=(group.samples[better], group.samples[worse]),
                    judgements=(replace(said, target=PairTarget(0, 1)),),
                    id=group.id if len(group.samples) == 2 else f"{group.id}#{better}-{worse}",
                    meta=meta,
                )
            )
    return Labelled(tuple(found), counts)


def agreement(groups: Sequence[Group], labels: Labels) -> tuple[float, Interval] | None:
    """How often labels favour the answer that the data (people) prefer, with a 95% interval.

    An even label counts as half a hit. None where no labelled pair was judged by the data.
    """
    hits, total = 0.0, 0
    for label in labels.labels:
        if label.probability is None:
            continue
        for said in groups[label.group].judgements:
            target, sure = said.target, 1.0 if said.probability is None else said.probability
            if not isinstance(target, PairTarget) or said.value is None or sure == 0.5:
                continue
            if {target.better, target.worse} != set(label.pair):
                continue
            total += 1
            first = (target.better == label.pair[0]) == (sure > 0.5)
            ours = label.probability if first else 1 - label.probability
            hits += 0.5 if ours == 0.5 else float(ours > 0.5)
    return (hits / total, wilson(hits, total)) if total else None


# -- direct: the score is the reward --------------------------------------------------------------


@dataclass
class DirectReward(Reward):
    """The expected score of an answer from 1 to 10 under drawn principles, as a reward from -1 to 1.

    Works among the rewards of a run, and as one of ``reward_funcs`` in Python (it has TRL's form). An
    answer that nothing scored is missing, never 0.

    Attributes:
        name: see :class:`charter.feedback.rewards.base.Reward`.
        model: scores the options.
        constitution: where principles come from.
        principles: ids of those to draw from; empty = all that are active.
        principles_per_answer: drawn for each prompt, the same for all its answers; None = all.
        seed: decides which are drawn.
        journals: folder in which every answer is kept.
        words: what is asked.
    """

    name: str
    model: OptionModel
    constitution: Constitution
    principles: tuple[str, ...] = ()
    principles_per_answer: int | None = 1
    seed: int = 0
    journals: Path | None = None
    words: Wordings = field(default_factory=wordings)
    masses: list[float] = field(default_factory=list, repr=False)
    """Of the last call: probability that a reply was one of the scores at all."""

    def __post_init__(self) -> None:
        if self.principles_per_answer is not None and self.principles_per_answer < 1:
            raise ConfigError("principles_per_answer must be at least 1", where=self.name)
        self.__name__ = self.name
        self._usable = usable(self.constitution, self.principles)
        self._titles = titles_of(self.constitution)
        self._journal: Journal = journal_in(self.journals, f"scores-{self.name}")

    def __call__(
        self, completions: Sequence[Any], prompts: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """TRL's form of a reward function: one reward a completion, None = not measured."""
        tags = columns.get("tags") or [None] * len(prompts)
        groups = [
            Group(
                (Sample(Context(_content(prompt)), Completion(_content(completion))),),
                meta={} if tag is None else {"tags": tag},
            )
            for prompt, completion, tag in zip(prompts, completions, tags, strict=True)
        ]
        return [said[0].value for said in self.judge(groups)]

    def principles_for(self, group: Group) -> list[Principle]:
        """What the group's answers are scored under; decided by the prompt and the seed."""
        mine = about(self._usable, group)
        key = sha256_json(conversation(group.samples[0].context.content))
        most = self.principles_per_answer
        count = len(mine) if most is None else min(most, len(mine))
        return drawn(mine, count, seed=self.seed, key=key)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement of each sample; its reason names the principles and the score."""
        asked: list[tuple[int, int, str]] = []
        questions: list[Question] = []
        for number, group in enumerate(groups):
            for principle in self.principles_for(group):
                for index, sample in enumerate(group.samples):
                    if sample.completion.text.strip():
                        asked.append((number, index, principle.id))
                        questions.append(self._question(sample, statement(principle, self._titles)))
        scored = option_answers(self.model, self._journal, questions, SCORES, label="scores")
        self.masses[:] = [found.mass for logps in scored if (found := shares(logps)) is not None]
        by_sample: dict[tuple[int, int], list[tuple[str, float | None]]] = {}
        for (number, index, principle_id), logps in zip(asked, scored, strict=True):
            by_sample.setdefault((number, index), []).append((principle_id, expected_score(logps)))
        return [
            [
                self._said(index, sample, by_sample.get((number, index)))
                for index, sample in enumerate(group.samples)
            ]
            for number, group in enumerate(groups)
        ]

    def _question(self, sample: Sample, principle: str) -> Question:
        wording, talk, answer = (
            self.words["rate"],
            conversation(sample.context.content),
            sample.completion.text,
        )
        text = wording.fill(mark=mark_of(talk, answer), conversation=talk, answer=answer, principle=principle)
        return Question((Message("user", text),), wording.sha)

    def _said(self, index: int, sample: Sample, scores: list[tuple[str, float | None]] | None) -> Judgement:
        said: Said
        reason = ""
        if not sample.completion.text.strip():
            said = error("empty completion")
        elif not scores:
            said = not_applicable("no principle is about the prompt")
        elif missing := [name for name, score in scores if score is None]:
            # A mean over fewer principles would compare answers on different ones.
            said = error("no score", f"under {', '.join(missing)}")
        else:
            score = mean([one for _, one in scores if one is not None])
            said = normalised_score(score, len(SCORES))
            reason = f"score {score:.2f} of 10 under {', '.join(name for name, _ in scores)}"
        return judgement(self.name, self.model.name, index, said, reason)


def _content(value: Any) -> Content:
    if isinstance(value, str):
        return value
    return tuple(Message(turn["role"], turn["content"]) for turn in value)
