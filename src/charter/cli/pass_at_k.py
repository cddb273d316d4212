"""``charter pass-at-k MODEL --data TASK``: how often answers that can be checked are right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli.model_name import known_model

if TYPE_CHECKING:
    from charter.evaluation.verifiable import Verifiable


def pass_at_k_command(
    model: Annotated[
        str, typer.Argument(help="Known name, hub id, folder or run directory.", callback=known_model)
    ],
    data: Annotated[str, typer.Option("--data", help="Prompts: a file, or reasoning-gym:TASK?size=100.")],
    reward_funcs: Annotated[
        list[str] | None,
        typer.Option("--reward-funcs", "--reward_funcs", help="What checks an answer; may be repeated."),
    ] = None,
    num_generations: Annotated[
        int, typer.Option("--num-generations", "--num_generations", "-n", min=1, help="Answers of a prompt.")
    ] = 8,
    k: Annotated[
        list[int] | None, typer.Option("--k", min=1, help="May be repeated; by default 1 and all.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Least reward of a right answer.")] = 1.0,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 1.0,
    max_completion_length: Annotated[
        int, typer.Option("--max-completion-length", "--max_completion_length", min=1, help="Most tokens.")
    ] = 256,
    seed: int = 0,
    output: Annotated[
        Path | None, typer.Option("--output", help="File for the judged samples (JSON lines).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Measure pass@k and maj@k. On answers that can be checked, with intervals over prompts."""
    from charter.engines.base import Sampling
    from charter.environments.tasks import is_task_spec, load_prompts
    from charter.errors import ConfigError
    from charter.feedback.rewards import open_rewards

    ks = sorted(set(k or [1, num_generations]))
    if ks[-1] > num_generations:
        raise ConfigError(f"{ks[-1]} answers cannot be drawn from {num_generations}", where="--k")
    specs = reward_funcs or (["reasoning-gym"] if is_task_spec(data) else [])
    sampling = Sampling(
        temperature=temperature, max_completion_length=max_completion_length, seed=seed
    )  # a mistake is found before a model loads
    rewards = open_rewards(specs)
    loaded = load_prompts(data)
    rewards.check(loaded.groups)
    from charter.data.prepare import prepare
    from charter.engines.local import LocalEngine
    from charter.evaluation.verifiable import verifiable
    from charter.models.load import load
    from charter.progress import progress
    from charter.records import write_groups

    policy = load(model)
    prompts = prepare(loaded, policy.template).groups
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    try:
        with progress("sample", len(prompts) * num_generations) as advance:
            found = verifiable(
                engine,
                prompts,
                rewards,
                n=num_generations,
                ks=ks,
                sampling=sampling,
                threshold=threshold,
                on_progress=advance,
            )
    finally:
        rewards.close()
    if output is not None:
        write_groups(output, found.groups)
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        _print(found)


def _print(found: Verifiable) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("k", "pass@k [95%]", "maj@k [95%]", "prompts")
    for one, most in zip(found.pass_at, found.maj_at, strict=True):
        table.add_row(
            str(one.k),
            f"{one.value:.1%} [{one.interval.lo:.1%}, {one.interval.hi:.1%}]",
            f"{most.value:.1%} [{most.interval.lo:.1%}, {most.interval.hi:.1%}]",
            str(one.prompts) + (f" ({one.left_out} left out)" if one.left_out else ""),
        )
    console = Console()
    console.print(table)
    console.print(
        f"mean reward {found.reward:.3f}; {found.missing} answers could not be checked; "
        f"{found.truncated:.0%} cut by the limit"
    )
