"""A level's share with every missing verdict counted as a failure: what a gate must also hold at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charter.evaluation.rates.change import Rate, rate_of
from charter.evaluation.rates.joint import Answer, Joint
from charter.evaluation.rates.verdicts import MISSING, PrincipleInfo, PromptVerdicts
from charter.stats.judge_rate import JudgeErrors

FAILED: Answer = (("", False),)
"""An answer that fails whatever a judge would have said: no judge has errors under a principle without id."""


def lacking(prompts: Sequence[PromptVerdicts], principles: Sequence[PrincipleInfo]) -> int:
    """Prompts with an answer that lacks a verdict under one of ``principles``."""
    return sum(
        any(_missing(prompt, principles, index) for index in range(prompt.samples)) for prompt in prompts
    )


def worst_rate(
    prompts: Sequence[PromptVerdicts],
    principles: Sequence[PrincipleInfo],
    errors: Mapping[str, JudgeErrors],
    found: Rate,
    used: int,
    *,
    level: float,
    seed: int,
) -> Rate:
    """The share of prompts that keep to all ``principles`` if every answer without a verdict breaks one.

    Args:
        prompts: all of them.
        principles: of the level.
        errors: of the principles that a judge judged.
        found: the share among the prompts that have every verdict.
        used: how many those are.
        level: confidence level.
        seed: of bootstrap and draws.
    """
    answers = [one for prompt in prompts if (one := _answers(prompt, principles))]
    raw = rate_of([[_passes(one) for one in prompt] for prompt in answers], level=level, seed=seed)
    if errors:
        joint = Joint(answers, errors, level, seed)
        ends = joint.interval()
        return Rate(None, raw.n, joint.estimate, ends.lo, ends.hi)
    if found.k is not None:
        return raw
    # Corrected by labels of these very answers, with no errors to speak of: the rest breaks it for sure.
    share = used / len(answers)
    return Rate(None, raw.n, found.rate * share, found.lo * share, found.hi * share)


def _answers(prompt: PromptVerdicts, principles: Sequence[PrincipleInfo]) -> list[Answer]:
    """Every answer that some principle is about, or may be about."""
    found: list[Answer] = []
    for index in range(prompt.samples):
        if _missing(prompt, principles, index):
            found.append(FAILED)
            continue
        cells = [(info.id, prompt.cells[info.id][index].passed) for info in principles]
        if said := tuple((id, passed) for id, passed in cells if passed is not None):
            found.append(said)
    return found


def _missing(prompt: PromptVerdicts, principles: Sequence[PrincipleInfo], index: int) -> bool:
    return any(prompt.cells[info.id][index].verdict in MISSING for info in principles)


def _passes(answer: Answer) -> float:
    return float(all(passed for _, passed in answer))
