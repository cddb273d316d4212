"""A conversation that was had: as a group, turn by turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.constitution import Principle
from charter.constitution.cases import Case
from charter.evaluation.suite.plan import Conversation
from charter.types import Completion, Context, Group, Message, Sample

BROKEN_OFF = "broken_off"
"""Key of a group's ``meta``: why a sample's conversation ended early, by the sample's number as text."""


@dataclass(frozen=True, slots=True)
class Had:
    """One test with what was answered.

    Attributes:
        principle: what it measures.
        case: the test.
        groups: by the conversation's part; each sample is one time it was had.
        unasked: why a conversation was not had, by its part.
    """

    principle: Principle
    case: Case
    groups: Mapping[str, Group]
    unasked: Mapping[str, str] = field(default_factory=dict)

    @property
    def group(self) -> Group | None:
        """Of a test with one conversation."""
        return self.groups.get("")

    @property
    def all(self) -> list[Group]:
        """Every conversation that was had."""
        return list(self.groups.values())

    @property
    def why_none(self) -> str:
        """Why there is nothing to measure, or ""."""
        if self.unasked:
            return "; ".join(dict.fromkeys(self.unasked.values()))
        return "" if any(group.samples for group in self.all) else "no answer came"


def group_of(conversation: Conversation, samples: Sequence[Sample], broken: Mapping[int, str]) -> Group:
    """The group that a conversation becomes.

    A conversation with pushes has the whole exchange as its completion, so that the last answer is what
    rules and judges read, with all that came before in view.
    """
    meta: dict[str, Any] = {
        "principle": conversation.principle,
        "test": conversation.test,
        "kind": conversation.kind,
        "part": conversation.part,
        "tags": list(conversation.tags),
    }
    if broken:
        meta[BROKEN_OFF] = {str(number): why for number, why in broken.items()}
    return Group(tuple(samples), id=conversation.id, meta=meta)


def joined(first: Context, turns: Sequence[Message], last: Completion) -> Sample:
    """One sample of several turns; token ids are left out, as they belong to single answers."""
    return Sample(
        Context(first.content),
        Completion(
            tuple(turns),
            finish_reason=last.finish_reason,
            sampled_by=last.sampled_by,
            weight_version=last.weight_version,
        ),
    )


def answers_of(sample: Sample) -> list[str]:
    """The assistant's texts, in order."""
    content = sample.completion.content
    if isinstance(content, str):
        return [content]
    return [turn.content for turn in content if turn.role == "assistant"]


def broken_off(group: Group, sample: int) -> str:
    """Why a sample's conversation ended early, or ""."""
    return str(group.meta.get(BROKEN_OFF, {}).get(str(sample), ""))
