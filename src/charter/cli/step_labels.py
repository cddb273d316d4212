"""``charter step-labels SOLUTIONS --model M``: rows for process reward models, without people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli.model_name import known_model

if TYPE_CHECKING:
    from charter.types import Group


def step_labels_command(
    solutions: Annotated[
        str, typer.Argument(help="What `charter pass-at-k --output` wrote, or rows with answers in steps.")
    ],
    model: Annotated[
        str,
        typer.Option("--model", help="Goes on from each step: name, hub id or folder.", callback=known_model),
    ],
    out: Annotated[Path, typer.Option("--out", help="File for the rows (.jsonl).")],
    reward_funcs: Annotated[
        list[str] | None,
        typer.Option("--reward-funcs", "--reward_funcs", help="Tells right solutions; may be repeated."),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Least reward of a right solution.")] = 1.0,
    num_generations: Annotated[
        int, typer.Option("--num-generations", "--num_generations", "-n", min=1, help="Continuations a step.")
    ] = 8,
    estimate: Annotated[
        str, typer.Option(help="soft: the share that ends right; hard: whether any does.")
    ] = "soft",
    budget: Annotated[
        int | None, typer.Option(min=1, help="Most continuations in all; by default as many as it takes.")
    ] = None,
    step_separator: Annotated[
        str,
        typer.Option("--step-separator", "--step_separator", help=r"Text between steps; \n = a new line."),
    ] = r"\n",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 1.0,
    max_completion_length: Annotated[
        int, typer.Option("--max-completion-length", "--max_completion_length", min=1, help="Most tokens.")
    ] = 512,
    seed: int = 0,
    bf16: Annotated[bool, typer.Option("--bf16/--no-bf16", help="Compute in bfloat16.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Label steps by going on from each. For `charter train process-reward`; the same command goes on."""
    from charter.cli.made_rows import rows_at
    from charter.engines.base import Sampling
    from charter.errors import ConfigError
    from charter.feedback.rewards import open_rewards
    from charter.models.check import check_checkpoint
    from charter.models.hub import resolve

    if estimate not in ("soft", "hard"):
        raise ConfigError(f"it is soft or hard, not {estimate!r}", where="--estimate")
    if temperature == 0 and num_generations > 1:
        raise ConfigError("at temperature 0 all continuations are the same", where="--temperature")
    if not reward_funcs:
        raise ConfigError(
            "nothing tells right solutions",
            where="--reward-funcs",
            fix="such as accuracy, or FILE.py:FUNCTION",
        )
    sampling = Sampling(temperature=temperature, max_completion_length=max_completion_length, seed=seed)
    groups = _solutions(solutions)
    made = rows_at(out, Path(solutions))
    rewards = open_rewards(reward_funcs)
    rewards.check(groups)
    check_checkpoint(resolve(model))
    from charter.engines.local import LocalEngine
    from charter.feedback.steps.reward_grader import grader_of
    from charter.feedback.steps.rollouts import StepRollouts
    from charter.interrupt import graceful
    from charter.models.load import load

    try:
        policy = load(model, bf16=bf16)
        rollouts = StepRollouts(
            LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype),
            policy.template,
            grader_of(rewards, threshold),
            n=num_generations,
            estimate=estimate,  # type: ignore[arg-type]  # one of the two, checked above
            separator=step_separator.replace(r"\n", "\n").replace(r"\t", "\t"),
            sampling=sampling,
            budget=budget,
        )
        with made.run.lock(), graceful():
            found = rollouts.label(groups, out)
            made.write(found.rows, {"counts": found.counts, "model": model, "reward_funcs": reward_funcs})
    finally:
        rewards.close()
    if as_json:
        print(json.dumps({"out": str(out), "rows": len(found.rows), "counts": found.counts}, indent=2))
        return
    print("\n".join(f"{count} {name}" for name, count in found.counts.items()))
    print(f"rows: {out} (charter train process-reward --data {out})")


def _solutions(source: str) -> tuple[Group, ...]:
    """Groups with answers.

    Raises:
        DataError: prompts alone, or no such file.
    """
    from charter.data.formats import load_groups
    from charter.errors import DataError
    from charter.records import is_groups_file, read_groups

    if is_groups_file(source):
        return tuple(read_groups(Path(source)))
    loaded = load_groups(source)
    if loaded.kind in ("prompts", "text"):
        raise DataError(
            f"these are {loaded.kind}, wanted solutions",
            where=source,
            fix="sample some with `charter pass-at-k MODEL --data TASK --output FILE`",
        )
    return loaded.groups
