"""Judges with planted faults, and a constitution to examine them on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from charter.constitution import Constitution
from charter.evaluation.judge_card.asking import Subject
from charter.evaluation.judge_card.injection import PLANTED
from charter.types import Group, Judgement, PairTarget, SampleTarget

POLITE, TRUE = "manners.polite", "truth.sure"
_NOUNS = (
    "ships",
    "tea",
    "maps",
    "owls",
    "rain",
    "bread",
    "chess",
    "moss",
    "tides",
    "kites",
    "salt",
    "clocks",
)


def constitution(pairs: int = 24, *, longer_good: float = 0.5) -> Constitution:
    """:func:`written`, read."""
    return Constitution.from_text(written(pairs, longer_good=longer_good))


def written(pairs: int = 24, *, longer_good: float = 0.5) -> str:
    """Two principles of ``pairs`` GOOD and BAD pairs each; the good one is longer in a share of them."""
    parts = [
        "---\nconstitution: 1\nname: test\nlevels: [user]\n---\n# All {#all}\n",
        _principle(POLITE, "Is polite", "The assistant is kind.", "gladly", "shut up", pairs, longer_good),
        _principle(
            TRUE, "Is sure", "The assistant says what it knows.", "certainly", "no idea", pairs, longer_good
        ),
    ]
    return "\n".join(parts)


def _principle(id: str, title: str, text: str, good: str, bad: str, pairs: int, longer_good: float) -> str:
    blocks = []
    for i in range(pairs):
        noun = f"{_NOUNS[i % len(_NOUNS)]} {i}"
        more = " There is more to say about that. Much has been written on it."
        longer = (i % 10) < 10 * longer_good
        right = f"I will {good} tell you of {noun}.{more if longer else ''}"
        wrong = f"I say {bad} when asked of {noun}.{'' if longer else more}"
        blocks.append(
            f"**Example**: number {i}\n\n~~~xml\n<user>Tell me about {noun}.</user>\n<comparison>\n"
            f"<assistant> <!-- GOOD --> {right} </assistant>\n<assistant> <!-- BAD --> {wrong} </assistant>\n"
            "</comparison>\n~~~\n"
        )
    return f"## {title} {{#{id} authority=user}}\n\n{text}\n\n" + "\n".join(blocks)


def truth(principle: str, text: str) -> bool:
    """Whether an answer keeps to a principle."""
    return {POLITE: "shut up", TRUE: "no idea"}[principle] not in text


@dataclass(frozen=True)
class Script:
    """A judge that knows the truth and errs as it is told to; the same item always gets the same verdict.

    Attributes:
        pairwise: compares answers.
        right: probability of a right verdict on an answer.
        first: probability of naming the first of two without reading.
        longer: probability of preferring the longer of two, or passing what is long, without reading.
        marks: probability of preferring markdown.
        gullible: passes what tells it to.
        lenient: models all of whose answers pass.
        deaf: pays no heed to the opposite question.
        opposite: is asked the opposite question; readings are turned back.
        silent: share of items without a verdict.
    """

    pairwise: bool = False
    right: float = 1.0
    first: float = 0.0
    longer: float = 0.0
    marks: float = 0.0
    gullible: bool = False
    lenient: frozenset[str] = frozenset()
    deaf: bool = False
    opposite: bool = False
    silent: float = 0.0
    seed: int = 0

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        return [self._pair(group) if self.pairwise else self._alone(group) for group in groups]

    def _alone(self, group: Group) -> list[Judgement]:
        id = group.meta["principle"]
        said = []
        for place, sample in enumerate(group.samples):
            text = sample.completion.text
            if self._chance("silent", text) < self.silent:
                said.append(Judgement(SampleTarget(place), verdict="error", principle=id, reason="no reply"))
                continue
            value = 0.9 if self._passes(id, text, sample.completion.sampled_by) else 0.1
            value += 0.05 * ("**" in text and self._chance("marks", text) < self.marks)
            said.append(Judgement(SampleTarget(place), value, principle=id))
        return said

    def _pair(self, group: Group) -> list[Judgement]:
        if len(group.samples) != 2:
            return []
        id, texts = group.meta["principle"], [one.completion.text for one in group.samples]
        key = "|".join(sorted(texts))
        if self._chance("silent", key) < self.silent:
            return [Judgement(PairTarget(0, 1), verdict="error", principle=id, reason="no reply")]
        better: int | None
        if self._chance("first", key) < self.first:
            better = 0
        elif len(texts[0]) != len(texts[1]) and self._chance("longer", key) < self.longer:
            better = int(len(texts[1]) > len(texts[0]))
        elif ("**" in texts[0]) != ("**" in texts[1]) and self._chance("marks", key) < self.marks:
            better = int("**" in texts[1])
        else:
            a, b = (self._passes(id, text, "") for text in texts)
            better = None if a == b else int(b)
        if better is None:
            return [Judgement(PairTarget(0, 1), verdict="abstained", principle=id, reason="tie")]
        return [Judgement(PairTarget(better, 1 - better), 1.0, principle=id)]

    def _passes(self, principle: str, text: str, model: str) -> bool:
        if model in self.lenient or (self.gullible and any(words in text for words in PLANTED)):
            return True
        if not self.pairwise and self._chance("longer", text) < self.longer:
            return (len(text) > 60) != (self.deaf and self.opposite)
        found = truth(principle, text) == (self._chance("right", text) < self.right)
        # One that does not hear the question says the same words, which now mean the opposite.
        return found != (self.deaf and self.opposite)

    def _chance(self, *parts: str) -> float:
        drawn = hashlib.sha256("\0".join((str(self.seed), *parts)).encode()).digest()
        return int.from_bytes(drawn[:7], "big") / 2**56


def subject(script: Script, *, flips: bool = True, own_models: Collection[str] = ()) -> Subject:
    """A script as the judge that is examined."""
    return Subject(
        "script",
        lambda _constitution, _only: script,
        (lambda _constitution, _only: replace(script, opposite=True)) if flips else None,
        script.pairwise,
        frozenset(own_models),
    )


def label_rows(
    per_principle: int = 60, raters: int = 1, models: Sequence[str] = ("a",)
) -> list[dict[str, Any]]:
    """Answers half of which are good, as people label them."""
    rows = []
    for id, words in ((POLITE, ("gladly", "shut up")), (TRUE, ("certainly", "no idea"))):
        for i in range(per_principle):
            text = f"Here is {words[i % 2]} number {i}" + " and on and on" * (i // 2 % 3)
            rows += [
                {
                    "principle": id,
                    "prompt": f"Question {i}?",
                    "completion": text,
                    "label": truth(id, text),
                    "rater": f"r{rater}",
                    "model": models[i // 2 % len(models)],
                }
                for rater in range(raters)
            ]
    return rows
