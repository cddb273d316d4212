"""``charter judge SAMPLES``: verdicts per principle, by rules or by models; or a trained judge's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.feedback.judging.feedback import ModelJudge

RULES = "rules"


def judge_command(
    samples: Annotated[Path, typer.Argument(help="Completions that `charter sample --output` wrote.")],
    constitution: Annotated[
        Path | None,
        typer.Option("--constitution", help="The constitution file; a trained judge needs none."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the judged samples.")] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            help="`rules` (default), a model's name or folder, or endpoint:MODEL@URL. Repeat it for a panel. "
            "A trained judge (FOLDER[:key=value,...]) is asked what it was trained on.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            help="per_principle, all_at_once, rubric, pairwise or reasons; default: the constitution's."
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="`options`: log-probs of the verdicts; `words`: replies that are read.")
    ] = None,
    both_orders: Annotated[
        bool | None,
        typer.Option("--both-orders/--given-order", help="Orders in which pairs are shown (form pairwise)."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Replies to each question.")] = None,
    scale: Annotated[int | None, typer.Option(help="Highest rating (form rubric).")] = None,
    pass_at: Annotated[int | None, typer.Option(help="Lowest rating that passes (form rubric).")] = None,
    panel_min: Annotated[int | None, typer.Option(min=1, help="Fewest judges that must have spoken.")] = None,
    self_family: Annotated[
        str | None, typer.Option(help="`forbid`: no judge judges answers of its own family; or `allow`.")
    ] = None,
    answerer_family: Annotated[
        str | None, typer.Option(help="Family of the model that wrote the answers.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", help="Principle that the judge may be used for; repeat it. The others are not measured."
        ),
    ] = None,
    rules_first: Annotated[
        bool | None,
        typer.Option("--rules-first/--no-rules-first", help="Principles with rules are judged by them."),
    ] = None,
    hidden_reasoning: Annotated[
        bool | None, typer.Option("--show-hidden-reasoning", help="Show the judge <think> blocks.")
    ] = None,
    max_chars: Annotated[int | None, typer.Option(help="Most characters shown of an answer.")] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="File of an endpoint's replies, so that nothing is asked twice; by default OUTPUT.replies."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides what is sampled.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Judge every completion. Under every principle, or by a judge that was trained."""
    from rich.console import Console

    from charter.cli.judge_alone import by_itself, judge_alone
    from charter.cli.judge_table import pairs_table, samples_table, summary, tally_lines
    from charter.constitution import Constitution
    from charter.errors import UserError
    from charter.feedback.rules.constitution import ConstitutionFeedback
    from charter.records import read_groups, write_groups

    if not samples.is_file():
        raise UserError("no such file", where=str(samples), fix="make one with `charter sample --output`")
    settings = {
        "form": form,
        "method": method,
        "order": None if both_orders is None else "both" if both_orders else "given",
        "seeds": seeds,
        "scale": scale,
        "pass_at": pass_at,
        "panel_min": panel_min,
        "self_family": self_family,
        "answerer_family": answerer_family,
        "only": only or None,
        "rules_first": rules_first,
        "hidden_reasoning": hidden_reasoning,
        "max_chars": max_chars,
        "journal": journal,
        "seed": seed,
    }
    asked = {name: value for name, value in settings.items() if value is not None}
    if by_itself(judge or []):
        judge_alone(judge or [], samples, output, constitution, asked, as_json=as_json)
        return
    if constitution is None:
        raise UserError("nothing says what is judged by", where="--constitution", fix="name a constitution")
    law = Constitution.load(constitution)
    model = _model_judge(law, judge or [RULES], asked, output)
    groups = read_groups(samples)
    said = (model or ConstitutionFeedback(law)).judge(groups)
    if output is not None:
        write_groups(output, (g.with_judgements(*j) for g, j in zip(groups, said, strict=True)))
    judged = [j for js in said for j in js]
    if as_json:
        print(json.dumps(summary(law, judged, model), indent=2))
    else:
        console = Console()
        console.print(samples_table(law, judged))
        if model is not None and model.pairwise:
            console.print(pairs_table(law, judged))
    if model is not None:
        for line in tally_lines(model, carded="only" in asked):
            print(line, file=sys.stderr)


def _model_judge(
    law: Constitution, specs: list[str], asked: dict[str, Any], output: Path | None
) -> ModelJudge | None:
    """The judge that the options describe; None = the rules.

    Raises:
        ConfigError: options that have no effect, or cannot be.
    """
    from charter.errors import ConfigError, did_you_mean

    if specs == [RULES]:
        if asked:
            name = {"order": "both-orders"}.get(first := sorted(asked)[0], first.replace("_", "-"))
            raise ConfigError(f"--{name} has no effect on rules", fix="name a model with --judge")
        return None
    for name, known in (
        ("method", ("auto", "options", "words")),
        ("self_family", ("forbid", "allow")),
        ("form", ("per_principle", "all_at_once", "rubric", "pairwise", "reasons")),
    ):
        if name in asked and asked[name] not in known:
            raise ConfigError(
                f"no such value: {asked[name]!r}",
                where=f"--{name.replace('_', '-')}",
                fix=did_you_mean(asked[name], known),
            )
    from charter.feedback.judging.open_judge import open_judge
    from charter.feedback.judging.view import View

    shown = {name: asked[name] for name in ("hidden_reasoning", "max_chars") if name in asked}
    more: dict[str, Any] = {name: asked[name] for name in ("only", "rules_first", "seed") if name in asked}
    if "answerer_family" in asked:
        more["families"] = asked["answerer_family"]
    beside = None if output is None else output.with_name(f"{output.name}.replies")
    return open_judge(
        specs,
        law,
        form=asked.get("form"),
        method=asked.get("method", "auto"),
        overrides={
            name: asked[name]
            for name in ("order", "seeds", "scale", "pass_at", "panel_min", "self_family")
            if name in asked
        },
        journal=asked.get("journal", beside),
        view=View(**shown),
        **more,
    )
