"""Which conversations a constitution's tests need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from charter.constitution import Constitution, Principle
from charter.constitution.cases import KINDS, Case, Flip, Steer
from charter.data.render import Template
from charter.errors import ConfigError, DataError, did_you_mean
from charter.types import Content, Context, Message

PLAIN = "plain"
"""Part of a ``steer`` test that names no group."""

STEER_TURN = "Answer as this group would: {group}.\n\n{prompt}"
"""How a ``steer`` test names the group: in the user's turn, since not every model takes a system message."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation to be had, several times.

    Attributes:
        principle: id of the principle.
        test: id of the test.
        kind: its kind.
        part: which of the test's conversations; "" = it has one. Of ``invariance`` the number of the
            prompt, of ``steer`` the group or :data:`PLAIN`.
        context: what the model is given first, rendered where there is a template.
        pushes: what the user says after each answer.
        samples: how many times it is had.
        tags: of the test.
    """

    principle: str
    test: str
    kind: str
    part: str
    context: Context
    pushes: tuple[str, ...] = ()
    samples: int = 1
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Unique in the plan."""
        return "/".join(filter(None, (self.principle, self.test, self.part)))

    @property
    def answers(self) -> int:
        """Answers that it takes."""
        return self.samples * (1 + len(self.pushes))


@dataclass(frozen=True, slots=True)
class Unasked:
    """A test that cannot be asked, and why."""

    principle: str
    test: str
    kind: str
    why: str

    def to_json(self) -> dict[str, str]:
        """As a JSON object."""
        return {"principle": self.principle, "test": self.test, "kind": self.kind, "why": self.why}


@dataclass(frozen=True, slots=True)
class Planned:
    """One test and its conversations."""

    principle: Principle
    case: Case
    conversations: tuple[Conversation, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be asked.

    Attributes:
        tests: in the order of the file.
        unasked: tests that cannot be asked.
    """

    tests: tuple[Planned, ...]
    unasked: tuple[Unasked, ...]

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """Of all tests."""
        return tuple(one for test in self.tests for one in test.conversations)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By kind: tests, conversations, answers, and tests that cannot be asked."""
        tests = Counter(one.case.kind for one in self.tests)
        unasked = Counter(one.kind for one in self.unasked)
        conversations = Counter(one.kind for one in self.conversations)
        answers = Counter[str]()
        for one in self.conversations:
            answers[one.kind] += one.answers
        return {
            kind: {
                "tests": tests[kind],
                "conversations": conversations[kind],
                "answers": answers[kind],
                "unasked": unasked[kind],
            }
            for kind in KINDS
            if tests[kind] or unasked[kind]
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"counts": self.counts, "unasked": [one.to_json() for one in self.unasked]}


def plan_tests(
    constitution: Constitution,
    *,
    samples: int = 1,
    samples_of: Mapping[str, int] | None = None,
    template: Template | None = None,
    only: Collection[str] = (),
    kinds: Collection[str] = (),
    max_length: int | None = None,
    max_completion_length: int = 256,
) -> Plan:
    """The conversations of every test of every active principle.

    Args:
        constitution: whose tests.
        samples: how many times each conversation is had.
        samples_of: likewise, for kinds that want another number.
        template: of the model that will answer; None = conversations are left as they are.
        only: ids of principles; none = all.
        kinds: kinds of tests; none = all.
        max_length: tokens the model can read, its answer included; None = not checked.
        max_completion_length: most tokens of one answer.

    Raises:
        ConstitutionError: ``only`` names an unknown principle.
        ConfigError: ``kinds`` names an unknown kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"no kind of test {kind!r}", where="kinds", fix=did_you_mean(kind, KINDS))
    wanted = {constitution.principle(id).id for id in only}
    tests: list[Planned] = []
    unasked: list[Unasked] = []
    for principle in constitution.active:
        if wanted and principle.id not in wanted:
            continue
        for case in principle.tests:
            if kinds and case.kind not in kinds:
                continue
            number = (samples_of or {}).get(case.kind, samples)
            try:
                had = tuple(
                    _fitting(_rendered(one, template), max_length, max_completion_length)
                    for one in _conversations(principle, case, number)
                )
            except DataError as error:
                unasked.append(Unasked(principle.id, case.id, case.kind, error.what))
            else:
                tests.append(Planned(principle, case, had))
    return Plan(tuple(tests), tuple(unasked))


def _conversations(principle: Principle, case: Case, samples: int) -> list[Conversation]:
    config = case.config
    given = config.conversations()
    parts: list[tuple[str, tuple[Message, ...]]] = [("", given[0])]
    if case.kind == "invariance":
        parts = [(str(number), turns) for number, turns in enumerate(given, start=1)]
    elif isinstance(config, Steer):
        groups = [(group, _steered(given[0], group)) for group in config.stances]
        parts = [(PLAIN, given[0]), *groups]
    pushes = tuple(config.push) if isinstance(config, Flip) else ()
    return [
        Conversation(
            principle.id, case.id, case.kind, part, Context(turns), pushes, samples, tuple(config.tags)
        )
        for part, turns in parts
    ]


def _steered(turns: tuple[Message, ...], group: str) -> tuple[Message, ...]:
    """The group is named in the user's last turn."""
    at = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=None)
    if at is None:
        return (*turns, Message("user", STEER_TURN.format(group=group, prompt="").strip()))
    said = Message("user", STEER_TURN.format(group=group, prompt=turns[at].content))
    return (*turns[:at], said, *turns[at + 1 :])


def _rendered(one: Conversation, template: Template | None) -> Conversation:
    if template is None:
        return one
    content: Content = one.context.content
    if not template.tokenizer.chat_template:
        turns = content if isinstance(content, tuple) else ()
        if len(turns) != 1 or one.pushes or turns[0].role != "user":
            raise DataError("the model has no chat template, so it cannot be given a conversation")
        content = turns[0].content
    ids = template.render_context(content, where=one.id)
    return replace(one, context=Context(content, ids))


def _fitting(one: Conversation, max_length: int | None, max_completion_length: int) -> Conversation:
    # Later turns grow with the model's own answers, and are looked at when they are asked.
    needed = len(one.context.token_ids) + max_completion_length
    if max_length is not None and one.context.token_ids and needed > max_length:
        raise DataError(
            f"{len(one.context.token_ids)} tokens and an answer of {max_completion_length} do not fit the "
            f"model's {max_length}"
        )
    return one
