"""A constitution's tests as tasks of Inspect."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from charter.constitution import Constitution
from charter.errors import ConfigError, UserError
from charter.evaluation.inspect.library import (
    ChatMessageUser,
    Generate,
    GenerateConfig,
    MemoryDataset,
    Solver,
    Task,
    TaskSample,
    TaskState,
    solver,
)
from charter.evaluation.inspect.messages import to_inspect
from charter.evaluation.inspect.scoring import Names, adherence
from charter.evaluation.suite import plan_tests
from charter.evaluation.suite.plan import Conversation

MAX_TOKENS = 256
"""Of an answer, as ``charter evaluate`` has it."""


def tasks_of(
    constitution: Constitution | str | Path,
    *,
    judge: Names = "",
    card: str | Path | Sequence[str] = "",
    by: Literal["principle", "constitution"] = "principle",
    principles: Collection[str] = (),
    kinds: Collection[str] = (),
    epochs: int = 1,
    temperature: float = 0.0,
    max_tokens: int = MAX_TOKENS,
) -> list[Task]:
    """Tasks whose samples are the constitution's tests, and whose scorer is Charter's judging.

    Args:
        constitution: whose tests.
        judge: of the principles without rules: a model, ``endpoint:MODEL@URL``, or several as a panel; "" =
            rules alone.
        card: file of the judge's card, or one of each; a judge without one is examined before it judges.
        by: one task for each principle, scored under that principle alone; or one task for all tests, each
            scored under every principle. (``charter evaluate`` scores a principle that does not say when it
            applies on its own tests alone.)
        principles: ids; none = all that have tests.
        kinds: kinds of tests; none = all.
        epochs: answers to each conversation.
        temperature: 0 = greedy.
        max_tokens: most tokens of an answer.

    Raises:
        ConstitutionError: ``principles`` names an unknown one, or the file is wrong.
        ConfigError: an unknown kind, or several epochs that would all be the same.
        UserError: there are no tests.
    """
    law = constitution if isinstance(constitution, Constitution) else Constitution.load(constitution)
    if epochs > 1 and temperature == 0:
        raise ConfigError(f"{epochs} epochs at temperature 0 would all be the same", where="epochs")
    plan = plan_tests(law, only=principles, kinds=kinds)
    if not plan.conversations:
        raise UserError("there are no tests to ask", where=law.path, fix="add a `yaml tests` block")
    # Each part is a whole constitution to the scorer, which Inspect makes again from its arguments.
    parts: dict[str, list[Conversation]] = {}
    for one in plan.conversations:
        parts.setdefault(one.principle if by == "principle" else "", []).append(one)
    judges = judge if isinstance(judge, str) else list(judge)
    cards = str(card) if isinstance(card, str | Path) else list(card)
    config = GenerateConfig(temperature=temperature, max_tokens=max_tokens)
    return [
        Task(
            dataset=MemoryDataset([_sample(law, one) for one in some], name=law.name, location=law.path),
            solver=conversation(),
            scorer=adherence(law.path, principle=id, judge=judges, card=cards, sha=law.sha),
            config=config,
            epochs=epochs,
            name=f"{law.name}.{id}" if id else law.name,
            version=law.version or 0,
            metadata=task_metadata(law, id),
        )
        for id, some in parts.items()
    ]


def task_metadata(constitution: Constitution, principle: str = "") -> dict[str, Any]:
    """Which constitution, and which principle of it, a log is about."""
    found: dict[str, Any] = {
        "constitution": {
            "name": constitution.name,
            "version": constitution.version,
            "sha": constitution.sha,
        }
    }
    if principle:
        one = constitution.principle(principle)
        found["principle"] = {"id": one.id, "title": one.title, "level": one.level, "sha": one.sha}
    return found


@solver  # type: ignore[untyped-decorator]
def conversation() -> Solver:
    """Answer, and go on with what the test's user says next (``pushes`` of its metadata)."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state = await generate(state)
        for push in state.metadata.get("pushes", ()):
            state.messages.append(ChatMessageUser(content=push))
            state = await generate(state)
        return state

    return solve


def _sample(constitution: Constitution, one: Conversation) -> TaskSample:
    principle = constitution.principle(one.principle)
    return TaskSample(
        id=one.id,
        input=to_inspect(one.context.content),
        target=f"keeps to: {principle.title}",
        metadata={
            "principle": one.principle,
            "test": one.test,
            "kind": one.kind,
            "part": one.part,
            "tags": list(one.tags),
            "pushes": list(one.pushes),
            "principle_sha": principle.sha,
            "constitution_sha": constitution.sha,
        },
    )
