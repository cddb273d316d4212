"""What Inspect finds when Charter is installed beside it (entry point group ``inspect_ai``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charter.errors import ConfigError
from charter.evaluation.inspect.library import GenerateConfig, Model, ModelAPI, Task, modelapi, task
from charter.evaluation.inspect.scoring import Names, adherence
from charter.evaluation.inspect.tasks import MAX_TOKENS, conversation, tasks_of

if TYPE_CHECKING:
    from charter.models.policy import Policy

__all__ = ["adherence", "charter", "constitution", "conversation", "model_of"]


@modelapi(name="charter")  # type: ignore[untyped-decorator]
def charter() -> type[ModelAPI]:
    """The provider; torch is imported when a model is loaded."""
    from charter.evaluation.inspect.provider import CharterAPI

    return CharterAPI


def model_of(policy: Policy, name: str = "", **config: Any) -> Model:
    """A policy that is loaded already, as a model for ``inspect_ai.eval``.

    Args:
        policy: who answers, with its weights as they are at the first call.
        name: what logs call it; "" = as the policy is named.
        config: Inspect's generation options.
    """
    settings = GenerateConfig(**config)
    # Made by what is registered, so that Inspect knows whose it is.
    api = charter(model_name=name or policy.name or "policy", config=settings, policy=policy)
    found = Model(api, settings)
    api.qualified_model_name = str(found)
    return found


@task  # type: ignore[untyped-decorator]
def constitution(
    file: str,
    principle: str = "",
    kind: str = "",
    judge: Names = "",
    card: Names = "",
    temperature: float = 0.0,
    max_tokens: int = MAX_TOKENS,
    epochs: int = 1,
) -> Task:
    """The tests of a constitution: ``inspect eval charter/constitution -T file=FILE --model charter/PATH``.

    Args:
        file: the constitution, or its name if it comes with Charter.
        principle: this one's tests alone, scored under it alone; "" = all tests under all principles.
        kind: this kind of tests alone; "" = all.
        judge: see :func:`charter.evaluation.inspect.tasks.tasks_of`.
        card: likewise.
        temperature: 0 = greedy.
        max_tokens: most tokens of an answer.
        epochs: answers to each test.
    """
    if not file:
        raise ConfigError("no constitution", where="-T file", fix="name one")
    [found] = tasks_of(
        file,
        judge=judge,
        card=card,
        by="principle" if principle else "constitution",
        principles=(principle,) if principle else (),
        kinds=(kind,) if kind else (),
        epochs=epochs,
        temperature=temperature,
        max_tokens=max_tokens,
    )
    return found
