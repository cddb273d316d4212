"""What became of one prompt: its answer, every critique and revision, and what may be trained on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from charter.types import Message

Outcome = Literal["used", "unchanged", "empty", "cut off", "no better", "no critique", "error"]
"""What became of a revision; only ``used`` ones are ever trained on."""

OUTCOMES: tuple[Outcome, ...] = ("used", "unchanged", "empty", "cut off", "no better", "no critique", "error")

TEST_PROMPT = "prompts that are tests of the constitution"
NO_PRINCIPLE = "prompts that no principle is about"
NO_FAULT = "answers in which the rules find no fault"
RULE_FAILED = "answers to which a rule could not be applied"
BAD_ANSWER: Mapping[str, str] = {
    "error": "answers that failed",
    "empty": "empty answers",
    "cut off": "answers cut off by the length limit",
}

_IN_WORDS: Mapping[Outcome, str] = {
    "used": "revisions used",
    "unchanged": "revisions that change nothing",
    "empty": "empty revisions",
    "cut off": "revisions cut off by the length limit",
    "no better": "revisions that mend nothing, or break something else",
    "no critique": "rounds without a critique",
    "error": "rounds that failed",
}

_NAMED = r"(?:answer|response|reply|version|revision|rewrite|message)"
_PREFACE = re.compile(
    r"\A(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[^\n:.!]{0,60}[!.,:]\s*)?"
    rf"(?:(?:here|below|this)\b[^\n:]{{0,60}}\b{_NAMED}\b[^\n:]{{0,40}}"
    rf"|(?:my |the |a )?(?:new|revised|rewritten|corrected|updated|improved) {_NAMED}):\**[ \t]*\n*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One round: a principle, a critique, a revision.

    Attributes:
        round: 1-based.
        principle: id of the principle that was drawn.
        principle_sha: its sha256.
        critique_request: what the critic was asked.
        critique: what it said.
        critique_cut: the critique was cut off by the length limit.
        revision_request: what was asked then.
        revision: the whole reply.
        text: the revision that counts: the reply without a preface such as "Here is the new answer:".
        outcome: see :data:`Outcome`.
        error: why there is no reply, where a call failed.
        prompt_shas: of the wordings of both requests; "" = none of ours: the principle's own words, of which
            its sha tells, or rules, which are asked nothing.
    """

    round: int
    principle: str
    principle_sha: str
    critique_request: str
    critique: str = ""
    critique_cut: bool = False
    revision_request: str = ""
    revision: str = ""
    text: str = ""
    outcome: Outcome = "error"
    error: str = ""
    prompt_shas: tuple[str, str] = ("", "")

    @property
    def prefaced(self) -> bool:
        """Whether a preface was taken off."""
        return self.text != self.revision


@dataclass(frozen=True)
class Revised:
    """One prompt with its answer and its rounds.

    Attributes:
        id: of the prompt.
        turns: the prompt as it was asked.
        answer: the first answer.
        answered_by: who wrote it.
        revised_by: who revised.
        criticised_by: who criticised: the same, or ``rules``.
        steps: the rounds, in order.
        dropped: why there are none; "" = there are.
        source: where the prompt was read.
        meta: what else the prompt's row carried.
        answer_cut: the length limit ended the first answer.
    """

    id: str
    turns: tuple[Message, ...]
    answer: str
    answered_by: str
    revised_by: str
    criticised_by: str
    steps: tuple[Step, ...]
    dropped: str
    source: str
    meta: Mapping[str, Any]
    answer_cut: bool = False

    @property
    def used(self) -> tuple[Step, ...]:
        """The rounds whose revision counts."""
        return tuple(step for step in self.steps if step.outcome == "used")

    @property
    def final(self) -> str | None:
        """The last revision that counts; None where there is none."""
        return self.used[-1].text if self.used else None

    def to_json(self) -> dict[str, Any]:
        """Plain data, every turn included."""
        return {
            "id": self.id,
            "prompt": [{"role": turn.role, "content": turn.content} for turn in self.turns],
            "answer": self.answer,
            "answer_cut": self.answer_cut,
            "answered_by": self.answered_by,
            "criticised_by": self.criticised_by,
            "revised_by": self.revised_by,
            "steps": [asdict(step) for step in self.steps],
            "final": self.final,
            "dropped": self.dropped,
            "source": self.source,
        }


@dataclass(frozen=True)
class Revisions:
    """Every prompt with what became of it, and the counts.

    Attributes:
        records: one a prompt that was asked, in order.
        counts: see :meth:`lines`; every prompt and revision that is left out is in it.
        shas: of the wordings used, by name.
    """

    records: tuple[Revised, ...]
    counts: Mapping[str, int]
    shas: Mapping[str, str] = field(default_factory=dict)

    @property
    def revised(self) -> tuple[Revised, ...]:
        """Those with a revision that counts."""
        return tuple(one for one in self.records if one.used)

    def lines(self) -> list[str]:
        """The counts for people, those that are not zero."""
        return [f"{count} {what}" for what, count in self.counts.items() if count]


def without_preface(text: str) -> str:
    """``text`` without a beginning that only announces it, such as "Here is the new answer:"."""
    return _PREFACE.sub("", text, count=1).strip()


def same_text(one: str, other: str) -> bool:
    """Whether two texts differ in nothing but white space."""
    return one.split() == other.split()


def counted(before: Counter[str], records: Sequence[Revised]) -> dict[str, int]:
    """What became of every prompt and round; ``before``: the prompts that were not asked."""
    steps = [step for record in records for step in record.steps]
    outcomes = Counter(step.outcome for step in steps)
    dropped = Counter(record.dropped for record in records if record.dropped)
    return {
        "prompts": before["prompts"],
        TEST_PROMPT: before[TEST_PROMPT],
        NO_PRINCIPLE: before[NO_PRINCIPLE],
        **{what: dropped[what] for what in (*BAD_ANSWER.values(), NO_FAULT, RULE_FAILED)},
        "rounds": len(steps),
        **{_IN_WORDS[outcome]: outcomes[outcome] for outcome in OUTCOMES},
        "prefaces cut off": sum(step.prefaced for step in steps if step.outcome == "used"),
        "critiques cut off by the length limit": sum(step.critique_cut for step in steps),
        "prompts with a revision": sum(bool(record.used) for record in records),
        "prompts without a usable revision": sum(not r.used and not r.dropped for r in records),
    }
