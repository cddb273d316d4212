"""The data everything hangs on: a group of samples to be compared.

A *group* holds k samples, each a (context, completion) pair. SFT is a group of
one, a preference pair of two, KTO of one with a label, a ranking of K, GRPO of
G. Judgements about the samples travel with the group. Nothing here says
"chosen" or "rejected": a preference is a judgement that targets a pair.

All types are frozen and free of torch, so every layer may use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")

FinishReason = Literal["stop", "length", "given"]
"""``stop``: the model ended its turn; ``length``: cut by a limit; ``given``: read from data."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Content = str | tuple[Message, ...]
"""Plain text, or turns that a chat template renders."""


def text_of(content: Content) -> str:
    """The text a rule or a person reads: plain text as it is, else the last turn's."""
    if isinstance(content, str):
        return content
    return content[-1].content if content else ""


@dataclass(frozen=True, slots=True)
class Context:
    """What the model is given.

    ``token_ids`` is empty until the context has been rendered.
    """

    content: Content = ""
    token_ids: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """What a rule or a person reads; see :func:`text_of`."""
        return text_of(self.content)


@dataclass(frozen=True, slots=True)
class Completion:
    """What follows the context.

    Attributes:
        content: the text, or the turns (a multi-turn conversation may hold
            user and tool turns, which are not trained).
        token_ids: rendered ids, including the end-of-turn token where the turn ended.
        trained: one flag per token id; False on user and tool tokens. Built from
            spans, never from ``id == pad``.
        logps: the sampler's log-probability of each token, or empty.
        finish_reason: see :data:`FinishReason`.
        sampled_by: which model wrote it (``dataset``, ``policy``, ``reference``, a name).
        weight_version: optimizer steps the sampling weights had taken.
    """

    content: Content = ""
    token_ids: tuple[int, ...] = ()
    trained: tuple[bool, ...] = ()
    logps: tuple[float, ...] = ()
    finish_reason: FinishReason = "given"
    sampled_by: str = "dataset"
    weight_version: int = 0

    def __post_init__(self) -> None:
        for name in ("trained", "logps"):
            values = getattr(self, name)
            if values and len(values) != len(self.token_ids):
                raise ValueError(f"completion has {len(self.token_ids)} token ids but {len(values)} {name}")

    @property
    def text(self) -> str:
        """What a rule or a person reads; see :func:`text_of`."""
        return text_of(self.content)


SampleRole = Literal["policy", "teacher", "mismatched"]
"""``policy``: what a loss is computed on; ``teacher``: a completion under the teacher's own context,
beside the same completion under the policy's; ``mismatched``: a prompt with the answer to another
prompt, scored without gradient."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What was found out about a rollout before it is trained on.

    One number for each token that is scored (the trained ones), or nothing where an algorithm does
    not need it.

    Attributes:
        advantages: how much better than expected each token was.
        old_logps: log-probs under the policy that is updated, as it was when the round began.
        ref_logps: log-probs under the reference.
        values: the critic's, as it was when the round began.
        returns: what the critic should have said.
    """

    advantages: tuple[float, ...] = ()
    old_logps: tuple[float, ...] = ()
    ref_logps: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    returns: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One (context, completion) pair, and what training does with it."""

    context: Context
    completion: Completion
    role: SampleRole = "policy"
    credit: Credit | None = None


@dataclass(frozen=True, slots=True)
class SampleTarget:
    """A judgement about one sample of the group."""

    sample: int


@dataclass(frozen=True, slots=True)
class PairTarget:
    """A judgement that compares two samples of the group: is ``better`` better than ``worse``?"""

    better: int
    worse: int


@dataclass(frozen=True, slots=True)
class SegmentTarget:
    """A judgement about a span of one sample's completion tokens (a reasoning step).

    Until a completion is rendered, the span is in characters of its text.
    """

    sample: int
    start: int
    end: int


Target = SampleTarget | PairTarget | SegmentTarget

Verdict = Literal["judged", "not_applicable", "abstained", "error", "not_measured"]
"""Only ``judged`` carries a value. A failed judgement is missing, never 0."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judge's word on one target under one principle.

    Attributes:
        target: what is judged.
        value: the score: 1.0 pass / 0.0 fail for rules, a rating or reward for
            others, the margin for a pair; None unless ``verdict == "judged"``.
        probability: soft probability that the judgement holds (that ``better``
            really is better, that the label is right); None = certain.
        verdict: see :data:`Verdict`.
        principle: principle id, or "" for a judgement about the whole answer.
        principle_sha: sha256 of the principle the judge applied.
        judge: which judge spoke (``rule``, ``dataset``, a model name, a rater).
        reason: why, in words for people.
        weight: how much the judgement counts in training.
    """

    target: Target
    value: float | None = None
    probability: float | None = None
    verdict: Verdict = "judged"
    principle: str = ""
    principle_sha: str = ""
    judge: str = "dataset"
    reason: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        if (self.value is None) == (self.verdict == "judged"):
            raise ValueError(f"verdict {self.verdict!r} does not fit value {self.value!r}")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must be in [0, 1], not {self.probability!r}")


@dataclass(frozen=True, slots=True)
class Group:
    """k samples to be compared, and what has been said about them.

    Attributes:
        samples: the samples; contexts are usually equal, and the packer finds
            what they share by comparing token ids.
        judgements: everything said about these samples.
        id: stable within its file or run.
        source: ``file:line`` the group was read from, for error messages.
        meta: anything else the row carried (answer columns, tags).
        part: which part of the data it belongs to, where terms of a loss have parts of their own.
    """

    samples: tuple[Sample, ...]
    judgements: tuple[Judgement, ...] = ()
    id: str = ""
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""

    def with_judgements(self, *more: Judgement) -> Group:
        """This group with ``more`` judgements appended."""
        return replace(self, judgements=self.judgements + more)
