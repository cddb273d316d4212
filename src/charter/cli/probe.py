"""``charter probe MODEL``: is the model easily swayed, and can the reward be gamed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli.model_name import known_model

if TYPE_CHECKING:
    from charter.engines.base import Engine
    from charter.evaluation.probes.rows import Row
    from charter.evaluation.probes.run import ProbeReport
    from charter.models.policy import Policy
    from charter.types import Group

CALLS = "calls.jsonl"
"""Answers of an endpoint, in the output folder: a run that is stopped does not pay for them twice."""

_PROBES = "Names, separated by commas; by default all that can be run. See --list."
_REWARD = "A reward to probe: what --reward-funcs takes. May be repeated."
_HELDOUT = "A reward that says what the others are worth, for best-of-n. May be repeated."
_DATA = "Prompts for what rewards choose among: a file, or reasoning-gym:TASK; by default plain ones of ours."


def probe_command(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Known name, hub id, folder, run directory, or endpoint:MODEL@URL.", callback=known_model
        ),
    ] = None,
    probes: Annotated[str | None, typer.Option("--probes", help=_PROBES)] = None,
    reward: Annotated[list[str] | None, typer.Option("--reward", help=_REWARD)] = None,
    heldout: Annotated[list[str] | None, typer.Option("--heldout", help=_HELDOUT)] = None,
    data: Annotated[str | None, typer.Option("--data", help=_DATA)] = None,
    items: Annotated[int | None, typer.Option("--items", min=2, help="Most items of a probe.")] = None,
    num_generations: Annotated[
        int,
        typer.Option(
            "--num-generations",
            "--num_generations",
            min=4,
            help="Answers that a reward chooses among.",
        ),
    ] = 16,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Of the answers that probes read; 0 = greedy.")
    ] = 0.0,
    max_completion_length: Annotated[
        int, typer.Option("--max-completion-length", "--max_completion_length", min=1, help="Most tokens.")
    ] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Of items, samples and intervals.")] = 0,
    bf16: Annotated[bool, typer.Option("--bf16/--no-bf16", help="Compute in bfloat16.")] = True,
    output_dir: Annotated[
        Path | None,
        typer.Option("--out", "--output-dir", help="Folder for probes.json; finished probes are kept."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Name the probes, and stop.")] = False,
) -> None:
    """Probe a model for flattery and gaming. And rewards for what can be gamed in them."""
    from charter.errors import UserError

    if listing:
        _list(as_json)
        return
    if model is None:
        raise UserError("no model is named", where="MODEL", fix="name one, or give --list")
    report = _run(
        model,
        None if probes is None else [name.strip() for name in probes.split(",") if name.strip()],
        reward or [],
        heldout or [],
        data,
        {
            "items": items,
            "seed": seed,
            "temperature": temperature,
            "max_completion_length": max_completion_length,
            "num_generations": num_generations,
        },
        bf16,
        output_dir,
    )
    if as_json:
        print(json.dumps(report.to_json(transcripts=False), indent=2, ensure_ascii=False))
        return
    _print(report)
    if output_dir is not None:
        print(f"report and transcripts: {output_dir / 'probes.json'}")


def _run(
    model: str,
    names: list[str] | None,
    reward: list[str],
    heldout: list[str],
    data: str | None,
    options: dict[str, Any],
    bf16: bool,
    out: Path | None,
) -> ProbeReport:
    """Everything that can be wrong is found before the model loads."""
    from charter.data.prepare import prepare
    from charter.environments.tasks import load_prompts
    from charter.errors import ConfigError
    from charter.evaluation.probes.registry import chosen
    from charter.evaluation.probes.run import run_probes
    from charter.evaluation.probes.settings import ProbeSettings
    from charter.feedback.rewards import open_rewards

    wanted = chosen(names, with_rewards=bool(reward))
    sampled = any(one.needs == "model and reward" for one in wanted)
    if heldout and not any(one.name == "best-of-n" for one in wanted):
        raise ConfigError("it has no effect without the probe best-of-n", where="--heldout")
    if data is not None and not sampled:
        raise ConfigError("it has no effect: no probe that is run samples prompts", where="--data")
    settings = ProbeSettings(**options)
    loaded = None if data is None else load_prompts(data)
    rewards = judges = None
    try:
        rewards = open_rewards(reward) if reward else None
        judges = open_rewards(heldout) if heldout else None
        engine, policy, identity = _opened(model, bf16, out)
        prompts: tuple[Group, ...] = () if loaded is None else loaded.groups
        if loaded is not None and policy is not None:
            prompts = prepare(loaded, policy.template).groups
        return run_probes(
            engine,
            None if policy is None else policy.template,
            probes=[one.name for one in wanted],
            reward=rewards,
            heldout=judges,
            prompts=prompts,
            settings=settings,
            model=model,
            identity={**identity, "reward": reward, "heldout": heldout},
            out=out,
        )
    finally:
        for one in (rewards, judges):
            if one is not None:
                one.close()


def _opened(model: str, bf16: bool, out: Path | None) -> tuple[Engine, Policy | None, dict[str, Any]]:
    """The engine, the model behind it where it is here, and what makes it the same model next time."""
    from charter.feedback.judging.spec import is_endpoint

    if is_endpoint(model):
        from charter.engines.endpoint import EndpointEngine
        from charter.feedback.judging.endpoint import open_endpoint

        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        service = open_endpoint(model, journal=None if out is None else out / CALLS)
        # An answer that the service refuses is a missing one; the others still count.
        return EndpointEngine(service, plain="user", missing="drop"), None, {}
    from charter.engines.local import LocalEngine
    from charter.models.load import load

    policy = load(model, bf16=bf16)
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    return engine, policy, {"files": _files(policy), "bf16": bf16}


def _files(policy: Policy) -> list[list[str | int]]:
    """The checkpoint as it lies on disk: another training run in the same folder is another model."""
    found = sorted(path for path in policy.path.iterdir() if path.is_file())
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in found]


def _list(as_json: bool) -> None:
    from charter.evaluation.probes.registry import PROBES

    if as_json:
        rows = [{"name": one.name, "asks": one.asks, "needs": one.needs} for one in PROBES.values()]
        print(json.dumps(rows, indent=2))
        return
    for one in PROBES.values():
        print(f"{one.name:<18}{one.needs:<18}{one.asks}")


def _print(report: ProbeReport) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, 132))
    for result in report.results:
        table = Table(result.probe, "value", "95% interval", "n", "missing", "what it is", box=None)
        for row in result.rows:
            table.add_row(
                row.name,
                shown(row, row.value),
                "" if row.interval is None else " to ".join(shown(row, end) for end in row.interval),
                str(row.n),
                str(row.missing) if row.missing else "",
                row.why,
            )
        console.print(table)
        told = [f"{count} missing: {reason}" for reason, count in result.missing.items()]
        if result.cut:
            told.append(f"{result.cut} of {len(result.transcripts)} answers were cut by the limit of tokens")
        for line in told:
            console.print(f"  {line}", markup=False, highlight=False)
        console.print()


def shown(row: Row, value: float | None) -> str:
    """A number as its unit wants it."""
    if value is None:
        return "not measured"
    if row.unit == "share":
        return f"{value:.0%}"
    return f"{value:+.2f}" if row.unit == "change" else f"{value:.3g}"
