"""``charter rank SAMPLES --by SPEC``: the best answer of each prompt, by rewards or by a tournament."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charter.feedback.trained.checkpoints import Named
    from charter.types import Group, Judgement

_BY = "A reward model, trained judge, constitution, function ...; anything --reward-funcs takes. Repeat it."


def rank_command(
    samples: Annotated[Path, typer.Argument(help="Completions that `charter sample --output` wrote.")],
    by: Annotated[list[str], typer.Option("--by", help=_BY)],
    weight: Annotated[
        list[float] | None, typer.Option("--weight", help="One for each --by; by default 1 each.")
    ] = None,
    best: Annotated[Path | None, typer.Option("--best", help="File for the best answers (.jsonl).")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the judged samples.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Choose the best answer of each prompt. By rewards, or by a tournament: FOLDER:pairs=tournament."""
    from charter.errors import ConfigError, UserError
    from charter.records import read_groups, write_groups
    from charter.rundir import write_jsonl

    if not samples.is_file():
        raise UserError("no such file", where=str(samples), fix="make one with `charter sample --output`")
    if best is not None and best.suffix != ".jsonl":
        raise UserError(
            "rows are written as JSON lines", where=f"--best {best}", fix="end its name in .jsonl"
        )
    knockout = _tournament(by)
    if knockout is not None and weight:
        raise ConfigError("it has no effect on a tournament", where="--weight")
    groups = read_groups(samples)
    if not any(len(group.samples) > 1 for group in groups):
        raise UserError(
            "no prompt has two answers to choose from",
            where=str(samples),
            fix="sample more: --num-generations 8",
        )
    ranked = _by_tournament(groups, knockout) if knockout is not None else _by_reward(groups, by, weight)
    if output is not None:
        write_groups(output, [one.judged for one in ranked])
    if best is not None:
        write_jsonl(best, [_row(one, one.best) for one in ranked if one.best is not None])
    told = _told(ranked)
    if as_json:
        print(json.dumps(told, indent=2))
        return
    print(f"{told['chosen']} of {told['prompts']} prompts: the best of {told['answers']} answers chosen")
    if told["best"] is not None:
        print(f"mean reward {told['mean']:.3f}, of the best {told['best']:.3f}")
    if told["comparisons"]:
        print(f"{told['comparisons']} comparisons")
    if told["left_out"]:
        print(f"{told['left_out']} prompts left out: no answer has a reward")
    if best is not None:
        print(f"best answers: {best} (charter train sft --data {best})")


@dataclass(frozen=True)
class _Ranked:
    """One prompt: its judged answers, the number of the best, and every answer's reward where it has one."""

    judged: Group
    best: int | None
    rewards: tuple[float | None, ...]


def _tournament(by: Sequence[str]) -> Named | None:
    """The judge that holds a tournament, if one is named.

    Raises:
        ConfigError: it is not alone.
    """
    from charter.errors import ConfigError
    from charter.feedback.rewards.parsed import target_and_options
    from charter.feedback.trained.checkpoints import named

    for spec in by:
        target, options = target_and_options(spec)
        if options.get("pairs") == "tournament":
            if len(by) > 1:
                raise ConfigError("a tournament scores no answer, so nothing goes beside it", where=spec)
            return named(target, options, Path(), where=spec)
    return None


def _by_tournament(groups: Sequence[Group], judge: Named) -> list[_Ranked]:
    from charter.feedback.rewards.trained import said_by

    found = []
    for group, said in zip(groups, said_by(judge, groups), strict=True):
        lost = {one.target.worse for one in said if _is_match(one)}  # type: ignore[union-attr]
        left = [index for index in range(len(group.samples)) if index not in lost]
        nothing = (None,) * len(group.samples)
        found.append(_Ranked(group.with_judgements(*said), left[0] if len(left) == 1 else None, nothing))
    return found


def _is_match(one: Judgement) -> bool:
    from charter.types import PairTarget

    return isinstance(one.target, PairTarget)


def _by_reward(groups: Sequence[Group], by: list[str], weights: list[float] | None) -> list[_Ranked]:
    import math
    from contextlib import closing

    from charter.data.selection.best import best_of_n
    from charter.feedback.rewards import open_rewards

    with closing(open_rewards(by, weights)) as rewards:
        rewards.check(groups)
        said = rewards.judge(groups)
        judged = [group.with_judgements(*of) for group, of in zip(groups, said, strict=True)]
        table = rewards.combined(judged)
    return [
        _Ranked(group, best_of_n(of), tuple(None if math.isnan(value) else value for value in of))
        for group, of in zip(judged, table, strict=True)
    ]


def _row(one: _Ranked, best: int) -> dict[str, Any]:
    sample = one.judged.samples[best]
    completion = _plain(sample.completion.content)
    prompt = _plain(sample.context.content)
    if isinstance(prompt, list) and isinstance(completion, str):
        completion = [{"role": "assistant", "content": completion}]
    row = {"id": one.judged.id, "prompt": prompt, "completion": completion}
    return row if one.rewards[best] is None else {**row, "reward": one.rewards[best]}


def _plain(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{"role": turn.role, "content": turn.content} for turn in content]


def _told(ranked: Sequence[_Ranked]) -> dict[str, Any]:
    from statistics import fmean

    values = [value for one in ranked for value in one.rewards if value is not None]
    chosen = [one for one in ranked if one.best is not None]
    best = [value for one in chosen if (value := one.rewards[one.best or 0]) is not None]
    return {
        "prompts": len(ranked),
        "answers": sum(len(one.judged.samples) for one in ranked),
        "chosen": len(chosen),
        "left_out": len(ranked) - len(chosen),
        "mean": fmean(values) if values else None,
        "best": fmean(best) if best else None,
        "comparisons": sum(_is_match(said) for one in ranked for said in one.judged.judgements),
    }
