"""``charter overopt RUN``: where the reward that counts stops following the reward that is trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def overopt_command(
    run: Annotated[Path, typer.Argument(help="Directory of a training run, with its metrics.jsonl.")],
    gold: Annotated[
        list[str] | None,
        typer.Option(
            "--gold",
            help="Metric that counts; by default rewards of weight 0, and heldout_reward. Repeat it.",
        ),
    ] = None,
    proxy: Annotated[str, typer.Option("--proxy", help="Metric that is trained on.")] = "reward",
    kl: Annotated[str, typer.Option("--kl", help="Metric of the distance, nats per sequence.")] = "kl",
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "--output_dir", help="Folder for drawings (.svg).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find where a run over-optimised. By the law of Gao et al. (2210.10760), with intervals."""
    from charter.errors import UserError
    from charter.evaluation.overoptimisation.run import HELDOUT, curves_of_run, watched_metrics
    from charter.rundir import read_json

    if not (run / "metrics.jsonl").is_file():
        raise UserError("no metrics.jsonl: not a training run", where=str(run), fix="name a run directory")
    result = (read_json(run / "manifest.json") or {}).get("result") or {}
    golds = gold or [*watched_metrics(result.get("watched_rewards")), HELDOUT]
    found = curves_of_run(run, golds, proxy=proxy, kl=kl)
    if not found:
        raise UserError(
            "this run measured no held-out reward",
            where=str(run),
            fix="train with --eval-data PROMPTS, or with a further reward of weight 0 (--reward-weights)",
        )
    if as_json:
        print(json.dumps([one.to_json() for one in found], indent=2, ensure_ascii=False))
    else:
        for one in found:
            left = f" ({one.left_out} steps left out: no reward or no KL)" if one.left_out else ""
            print(f"{one.name}: {one.words()}; {len(one.points)} measurements{left}")
    if output_dir is not None:
        from charter.reporting.overoptimisation import curve_chart

        output_dir.mkdir(parents=True, exist_ok=True)
        for one in found:
            if one.points:
                path = output_dir / f"{one.gold.replace('/', '-')}.svg"
                path.write_text(str(curve_chart(one.to_json())), encoding="utf-8")
                if not as_json:
                    print(f"drawing: {path}")
