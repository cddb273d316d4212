"""The ``yaml tests`` block: prompts that measure a principle and are never trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from charter.config import Config
from charter.constitution.examples import Speaker, role_of
from charter.constitution.front_matter import Share
from charter.constitution.front_matter import Texts as TextList
from charter.constitution.rule_tree import Rules, read_rules
from charter.constitution.yaml_block import YamlBlock
from charter.errors import did_you_mean
from charter.types import Message

Text = Annotated[str, Field(min_length=1)]


class Line(Config):
    """One message of a test's conversation."""

    role: Speaker
    """Who speaks; a ``developer`` and ``settings`` speak where the system does, ``untrusted`` where the
    user does."""
    content: Text


Lines = Annotated[
    tuple[Line, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]


class CaseConfig(Config):
    """What every test has.

    ``tags`` mark the prompt for ``applies_when: {prompt_tag: ...}``. ``system`` is a system message
    before the prompt; without one there is none.
    """

    id: Text
    tags: TextList = ()
    system: Text = ""

    def asked(self) -> tuple[str, ...]:
        """What the user says, one text per conversation."""
        raise NotImplementedError

    def conversations(self) -> tuple[tuple[Message, ...], ...]:
        """What the model is given, turn by turn, one for each that is asked."""
        before = (Message("system", self.system),) if self.system else ()
        return tuple((*before, Message("user", text)) for text in self.asked())


class _OnePrompt(CaseConfig):
    prompt: Text = ""
    """What the user asks; or a ``conversation`` says more."""
    conversation: Lines = ()
    """Messages in place of the prompt; the model speaks after the last of them."""

    def asked(self) -> tuple[str, ...]:
        said = [line.content for line in self.conversation if role_of(line.role) == "user"]
        # A conversation nobody has joined yet is known by its set-up.
        return (self.prompt or "\n\n".join(said or [line.content for line in self.conversation]),)

    def conversations(self) -> tuple[tuple[Message, ...], ...]:
        if not self.conversation:
            return super().conversations()
        return (tuple(Message(role_of(line.role), line.content) for line in self.conversation),)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.prompt) == bool(self.conversation):
            raise ValueError("give a prompt, or a conversation in its place")
        if self.conversation and self.system:
            raise ValueError("a conversation says its own system message: leave `system` out")
        if self.conversation and self.conversation[-1].role == "assistant":
            raise ValueError("the last message of a conversation is the assistant's: nothing is left to say")
        return self


class Judge(_OnePrompt):
    """A judge reads the answer by the principle's rubric."""

    kind: Literal["judge"]


class Rule(_OnePrompt):
    """Rules read the answer: the test's own, else the principle's."""

    kind: Literal["rule"]


class MustComply(_OnePrompt):
    """A request that only looks forbidden: refusing it is over-enforcement."""

    kind: Literal["must_comply"]


class MustRefuse(_OnePrompt):
    """A request the model must not carry out."""

    kind: Literal["must_refuse"]


class Flip(_OnePrompt):
    """A right answer must survive being pushed against."""

    kind: Literal["flip"]
    expect: Text
    """A text the answer must keep containing."""
    push: Annotated[TextList, Field(min_length=1)]
    """What the user says next, one turn each."""


class Invariance(CaseConfig):
    """The same question in several clothes must get the same answer."""

    kind: Literal["invariance"]
    prompts: Annotated[TextList, Field(min_length=2)]
    same: Literal["answer", "stance"]
    """What must not change."""

    def asked(self) -> tuple[str, ...]:
        """Every clothing of the question."""
        return self.prompts


class Conflict(_OnePrompt):
    """Two principles pull apart; one must win."""

    model_config = ConfigDict(validate_by_name=True)

    kind: Literal["conflict"]
    against: Annotated[Text, Field(alias="with")]
    """Id of the other principle."""
    expect_winner: Text
    """Id of the principle that must win."""


class Steer(_OnePrompt):
    """Asked to speak for a group, the model takes that group's stance."""

    kind: Literal["steer"]
    stances: Annotated[Mapping[str, Text], Field(min_length=1)]
    """Stance by group."""


class Distribution(_OnePrompt):
    """Over many samples, answers are spread as people's are."""

    kind: Literal["distribution"]
    options: Annotated[TextList, Field(min_length=2)]
    target: Mapping[str, Share]
    """Target share by option; they sum to 1."""
    ordered: bool = False
    """The options stand in an order, so that a near miss is better than a far one."""
    group: Text = ""
    """The people whose shares ``target`` holds; empty = nobody in particular. The prompt does not name them
    unless it is written so."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Distribution:
        if set(self.target) != set(self.options):
            raise ValueError("target must give a share for each option and nothing else")
        if abs(sum(self.target.values()) - 1.0) > 1e-6:
            raise ValueError(f"target shares sum to {sum(self.target.values()):g}, not 1")
        return self


class Overton(_OnePrompt):
    """An answer covers the viewpoints that people hold."""

    kind: Literal["overton"]
    viewpoints: Annotated[Mapping[str, Text], Field(min_length=2)]
    """What each viewpoint says, by its name."""


KINDS: Mapping[str, type[CaseConfig]] = {
    "judge": Judge,
    "rule": Rule,
    "flip": Flip,
    "invariance": Invariance,
    "must_comply": MustComply,
    "must_refuse": MustRefuse,
    "conflict": Conflict,
    "steer": Steer,
    "distribution": Distribution,
    "overton": Overton,
}
"""Every kind of test by its name."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a principle.

    Attributes:
        kind: a key of :data:`KINDS`.
        config: what it says.
        line: where it stands in the file.
        rules: a ``rule`` test's own rules; None = the principle's.
    """

    kind: str
    config: CaseConfig
    line: int
    rules: Rules | None = None

    @property
    def id(self) -> str:
        """Unique within its principle."""
        return self.config.id

    def prompts(self) -> tuple[str, ...]:
        """What the user says, one text per conversation."""
        return self.config.asked()

    def conversations(self) -> tuple[tuple[Message, ...], ...]:
        """What the model is given, turn by turn, one for each that is asked."""
        return self.config.conversations()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        found = self.config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {**found, "rules": self.rules.to_dict()} if self.rules else found


def read_cases(block: YamlBlock) -> tuple[Case, ...]:
    """Read a tests block.

    Raises:
        ConstitutionError: an unknown kind or key, or an id used twice, at its line.
    """
    cases: list[Case] = []
    for index, item in enumerate(block.items(block.value)):
        case = _case(block, item, index)
        if any(case.id == other.id for other in cases):
            raise block.error(f"test id {case.id!r} is used twice", index, "id")
        cases.append(case)
    return tuple(cases)


def _case(block: YamlBlock, item: Any, index: int) -> Case:
    values = block.mapping(item, index)
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        what = "test has no kind" if kind is None else f"unknown test kind {kind!r}"
        raise block.error(what, index, "kind", fix=did_you_mean(str(kind), KINDS))
    rules = None
    if kind == "rule" and "rules" in values:
        rules = read_rules(block, values.pop("rules"), index, "rules")
    return Case(kind, block.build(KINDS[kind], values, index), block.line(index), rules)
