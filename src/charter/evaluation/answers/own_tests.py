"""A constitution's own tests as the prompts of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from charter.constitution import Constitution
from charter.data.formats import LoadedData
from charter.data.render import Template
from charter.errors import DataError, UserError
from charter.evaluation.judges.concern import TESTS_OF
from charter.types import Completion, Context, Group, Message, Sample

SHARED = "test conversations that another test has as well, asked once"


@dataclass
class _Asked:
    """One conversation, and the tests that have it."""

    id: str
    tags: list[str] = field(default_factory=list)
    principles: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rendered:
    """Prompts as the model reads them.

    Attributes:
        groups: with token ids.
        unasked: why the others cannot be asked, by id.
    """

    groups: tuple[Group, ...]
    unasked: Mapping[str, str]


def own_prompts(constitution: Constitution) -> LoadedData:
    """The conversations of a constitution's tests, whole: every turn that the test gives.

    Conversations that differ in a single turn, the system's included, are different prompts. One that
    several tests have is asked once, with the tags of all of them; ``counts`` says how often that was so.

    Raises:
        UserError: it has no tests.
    """
    asked: dict[tuple[Message, ...], _Asked] = {}
    shared = 0
    for principle in constitution.active:
        for case in principle.tests:
            for number, turns in enumerate(case.conversations()):
                id = f"{principle.id}/{case.id}" + (f"/{number}" if number else "")
                shared += turns in asked
                one = asked.setdefault(turns, _Asked(id))
                one.tags += [tag for tag in case.config.tags if tag not in one.tags]
                one.principles += [principle.id] if principle.id not in one.principles else []
    if not asked:
        raise UserError(
            "the constitution has no test prompts",
            where=constitution.path,
            fix="give prompts, or add tests",
        )
    groups = tuple(
        Group(
            (Sample(Context(turns), Completion()),),
            id=one.id,
            source=f"{constitution.path}: {one.id}",
            meta={"tags": one.tags, TESTS_OF: one.principles},
        )
        for turns, one in asked.items()
    )
    return LoadedData(groups, {SHARED: shared} if shared else {}, "prompts", constitution.path)


def render_tests(loaded: LoadedData, template: Template) -> Rendered:
    """Tests with token ids; one that the model's template cannot write is left out, with the reason.

    Raises:
        UserError: none can be written.
    """
    groups: list[Group] = []
    unasked: dict[str, str] = {}
    for group in loaded.groups:
        try:
            groups.append(template.render(group))
        except DataError as error:
            unasked[group.id] = error.what
    if not groups:
        first = next(iter(unasked.values()))
        raise UserError(
            f"the model can be asked none of the constitution's {len(unasked)} test conversations: {first}",
            where=loaded.name,
            fix="give prompts of plain text, or take a model with a chat template",
        )
    return Rendered(tuple(groups), unasked)
