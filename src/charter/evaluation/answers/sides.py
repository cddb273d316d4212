"""The answers of a policy, and of its reference where it has one, to the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import charter
from charter.engines.base import Engine, Sampling
from charter.engines.sample import sample_prompts
from charter.errors import UserError
from charter.evaluation.answers.kept import AnswerFile, KeptEngine
from charter.evaluation.judges.concern import TESTS_OF
from charter.evaluation.keep import Keep
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.progress import progress
from charter.rundir import sha256_json
from charter.types import Group

OpenEngine = Callable[[Any, Policy, str], Engine]
"""An engine of a model, with the policy's tokenizer, under a name."""


@dataclass(frozen=True)
class Sides:
    """What was answered.

    Attributes:
        after: by the policy.
        before: by the reference, to the same prompts; None = there is none.
        unasked: why other prompts were not asked, by their id.
    """

    after: list[Group]
    before: list[Group] | None
    unasked: dict[str, str]


@dataclass(frozen=True)
class Speakers:
    """Who is asked.

    Attributes:
        policy: the policy by itself.
        asked: what the policy is asked through; itself, where nothing stands around it.
        reference: the reference's engine; None = there is none.
        reference_name: what the reference is called there.
    """

    policy: Engine
    asked: Engine
    reference: Engine | None = None
    reference_name: str = "policy"


def speakers(
    policy: Policy,
    reference: Reference | None,
    around: Callable[[Engine], Engine] | None,
    keep: Keep | None,
    open_engine: OpenEngine,
) -> Speakers:
    """The engines, each asking nothing twice.

    Args:
        policy: the model in question.
        reference: the model before alignment.
        around: what the policy is asked through.
        keep: where answers are kept; None = in memory alone, for this one evaluation.
        open_engine: makes an engine.

    Raises:
        ValueError: answers are kept, and nothing tells what stands around the model.
    """
    if around is not None and keep is not None and not keep.around:
        raise ValueError("answers are kept by what stands around the model, and that has no identity")
    file = AnswerFile(None if keep is None else keep.answers)

    def kept(engine: Engine, name: str, weights: str, more: str = "") -> KeptEngine:
        identity = sha256_json([charter.__version__, policy.device.type, name, weights, more])
        return KeptEngine(engine, file, identity, "" if keep is None else keep.fix)

    def digest(model: Any) -> str:
        return "" if keep is None else replace(policy, model=model).digest()

    bare, weights = open_engine(policy.model, policy, "policy"), digest(policy.model)
    own = kept(bare, "policy", weights)
    asked = own
    if around is not None:
        asked = kept(around(bare), "around", weights, "" if keep is None else keep.around)
    if reference is None:
        return Speakers(own, asked)
    if reference.model is None:
        return Speakers(own, asked, own, "reference")
    # A model of its own has no adapter to switch off: it is asked as itself.
    other = open_engine(reference.model, policy, "reference")
    return Speakers(own, asked, kept(other, "reference", digest(reference.model)))


def answered(who: Speakers, prompts: Sequence[Group], n: int, sampling: Sampling) -> Sides:
    """Ask both sides. Of the constitution's own tests one that an engine refuses is left out on both.

    Raises:
        UserError: a prompt of a file was refused, or every test was.
        Interrupted: the person asked to stop.
    """
    after, unasked = _asked(who.asked, prompts, n, sampling, "policy", "answers")
    if who.reference is None:
        return Sides(after, None, unasked)
    left = [one for one in prompts if one.id not in unasked]
    before, refused = _asked(who.reference, left, n, sampling, who.reference_name, "base answers")
    return Sides([one for one in after if one.id not in refused], before, {**unasked, **refused})


def _asked(
    engine: Engine, prompts: Sequence[Group], n: int, sampling: Sampling, who: str, label: str
) -> tuple[list[Group], dict[str, str]]:
    """The answers, and why other prompts were refused."""
    refused: dict[str, str] = {}
    own_tests = all(TESTS_OF in group.meta for group in prompts)
    left = len(prompts) * n
    with progress(label, left) as advance:

        def bump(number: int) -> None:
            nonlocal left  # what is asked again after a refusal was counted before
            number = min(number, left)
            left -= number
            if number:
                advance(number)

        def have(part: Sequence[Group]) -> list[Group]:
            try:
                return sample_prompts(engine, part, n, sampling, policy=who, on_progress=bump)
            except UserError as error:
                if not own_tests:
                    raise
                if len(part) == 1:
                    refused[part[0].id] = error.what
                    if len(refused) == len(prompts):
                        raise
                    return []
            middle = len(part) // 2
            return have(part[:middle]) + have(part[middle:])

        return have(prompts), refused
