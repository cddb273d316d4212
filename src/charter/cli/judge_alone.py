"""``charter judge SAMPLES --judge FOLDER`` with a judge that was trained: it needs no constitution."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.types import Group, Judgement


def by_itself(specs: Sequence[str]) -> bool:
    """Whether one of the judges named is a checkpoint that was trained to judge."""
    from charter.feedback.judging.spec import is_endpoint
    from charter.feedback.rewards.parsed import target_and_options
    from charter.feedback.trained.checkpoints import ENSEMBLE, judges

    for spec in specs:
        if is_endpoint(spec):
            continue
        target, _ = target_and_options(spec)
        if target.startswith(ENSEMBLE) or judges(target):
            return True
    return False


def judge_alone(
    specs: Sequence[str],
    samples: Path,
    output: Path | None,
    constitution: Path | None,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Judge every completion by what the checkpoint was trained on, and say what came of it.

    Raises:
        ConfigError: several judges, or an option of judges under a constitution.
    """
    from charter.errors import ConfigError
    from charter.feedback.rewards.parsed import target_and_options
    from charter.feedback.trained.checkpoints import named
    from charter.records import read_groups, write_groups

    if len(specs) > 1:
        raise ConfigError(
            "a trained judge is not one of a panel: it does not judge by principles",
            where="--judge",
            fix="ask it alone; several reward models are one judge as ensemble:A+B",
        )
    if constitution is not None:
        raise ConfigError(
            "it has no effect on a trained judge, which is asked what it was trained on",
            where="--constitution",
            fix="leave it out, or name a language model that judges under it",
        )
    if asked:
        flag = {"order": "both-orders"}.get(first := sorted(asked)[0], first.replace("_", "-"))
        raise ConfigError(
            f"--{flag} has no effect on a trained judge",
            fix="its own options follow its folder: FOLDER:key=value",
        )
    target, options = target_and_options(specs[0])
    found = named(target, options, Path(), where=specs[0])
    groups = read_groups(samples)
    from charter.feedback.rewards.trained import said_by

    said = said_by(found, groups)
    if output is not None:
        write_groups(output, (g.with_judgements(*of) for g, of in zip(groups, said, strict=True)))
    trained = "outcome reward model" if found.trained is None else found.trained.words()
    told = {"judge": trained, **summary(groups, said)}
    if as_json:
        print(json.dumps(told, indent=2))
        return
    print(trained)
    print(f"{told['judged']} of {told['answers']} answers judged" + _spread(told))
    for why, count in told["missing"].items():
        print(f"{count} without a judgement: {why}")
    if told["pairs"]:
        print(f"{told['pairs']} comparisons")


def summary(groups: Sequence[Group], said: Sequence[Sequence[Judgement]]) -> dict[str, Any]:
    """Counts, and the mean and range of the answers' values."""
    from collections import Counter
    from statistics import fmean

    from charter.types import PairTarget, SampleTarget

    every = [one for of in said for one in of]
    whole = [one for one in every if isinstance(one.target, SampleTarget)]
    values = [one.value for one in whole if one.value is not None]
    return {
        "answers": sum(len(group.samples) for group in groups),
        "judged": len(values),
        "missing": dict(Counter(one.reason or one.verdict for one in whole if one.value is None)),
        "mean": fmean(values) if values else None,
        "lowest": min(values, default=None),
        "highest": max(values, default=None),
        "pairs": sum(isinstance(one.target, PairTarget) for one in every),
    }


def _spread(told: Mapping[str, Any]) -> str:
    if told["mean"] is None:
        return ""
    return f": mean {told['mean']:.3f}, {told['lowest']:.3f} to {told['highest']:.3f}"
