"""``charter constitution recover PAIRS``: which principles explain a set of preferences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli.constitution_exchange import can_write

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.feedback.judging.ask import Judge
    from charter.feedback.recovering.candidate import Source
    from charter.feedback.recovering.judged_votes import Voter
    from charter.feedback.recovering.pairs import Pairs
    from charter.feedback.recovering.recovery import Finding, Options, Recovery
    from charter.feedback.recovering.round_trip import RoundTrip

_WIDTH = 60
JUDGED_PAIRS = 400
"""Pairs that are used where a judge votes, unless said otherwise: it is asked twice of each and principle."""


def recover_command(
    pairs: Annotated[
        Path,
        typer.Argument(help="Preferences: any format Charter reads, or judged samples.", metavar="PAIRS"),
    ],
    declared: Annotated[
        Path | None,
        typer.Option("--declared", help="The constitution that the preferences are meant to follow."),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option("--candidates", help="Further principles: a constitution or a list of any kind."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge", help="Model that votes on principles without rules: a name or endpoint:MODEL@URL."
        ),
    ] = None,
    propose: Annotated[
        str | None,
        typer.Option("--propose", help="Model that proposes principles; they need --judge to vote."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the draft, NAME.constitution.md.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write everything as JSON.")] = None,
    annotated: Annotated[
        Path | None, typer.Option("--annotated", help="Write pairs and votes: annotated pairs, version 2.")
    ] = None,
    principle: Annotated[
        str, typer.Option("--principle", help="Only labels given under this principle.")
    ] = "",
    held_out: Annotated[
        float, typer.Option("--held-out", min=0.1, max=0.9, help="Share of the prompts to test on.")
    ] = 0.5,
    alpha: Annotated[
        float, typer.Option("--alpha", min=0.0001, max=0.5, help="Largest chance of any false principle.")
    ] = 0.05,
    max_pairs: Annotated[
        int | None,
        typer.Option(
            "--max-pairs", min=20, help=f"Most pairs used; with --judge {JUDGED_PAIRS} unless said."
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", help="File of the judge's votes; by default PAIRS.votes.jsonl."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides which prompts are held out.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the outputs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Recover principles from preferences: chosen on one half of the prompts, tested on the other."""
    from charter.constitution import Constitution
    from charter.feedback.recovering.pairs import read_pairs, subset
    from charter.feedback.recovering.recover import recover
    from charter.feedback.recovering.recovery import Options
    from charter.feedback.recovering.round_trip import compared

    for output in (out, report, annotated):
        can_write(output, force)
    _check(judge, propose, journal)
    law = None if declared is None else Constitution.load(declared)
    laws: list[tuple[Constitution, Source]] = [] if law is None else [(law, "declared")]
    if candidates is not None:
        laws.append((_listed(candidates), "supplied"))
    votes = journal or pairs.with_name(f"{pairs.name}.votes.jsonl")
    voter = None if judge is None else _voter(judge, votes, seed)
    whole = read_pairs(pairs, principle=principle)
    most = max_pairs or (JUDGED_PAIRS if judge else None)
    used = whole if most is None else subset(whole, most, seed)
    options = Options(held_out=held_out, alpha=alpha, seed=seed)
    about: Mapping[str, Any] = {}
    if propose is not None:
        proposed, about = _proposed(propose, used, options, votes)
        laws += [] if proposed is None else [(proposed, "proposed")]
    found = recover(used, laws=laws, voter=voter, options=options, proposer=about)
    trip = None if law is None else compared(found, law)
    whole_json = {**found.to_json(), "round_trip": None if trip is None else trip.to_json()}
    if as_json:
        typer.echo(json.dumps(whole_json, indent=2, ensure_ascii=False))
    else:
        _show(found, trip)
    _write(found, whole_json, out, report, annotated)


def _check(judge: str | None, propose: str | None, journal: Path | None) -> None:
    from charter.errors import ConfigError

    if propose is not None and judge is None:
        raise ConfigError(
            "proposed principles are words, and only a judge can vote on them",
            where="--propose",
            fix="name the judge with --judge",
        )
    if journal is not None and judge is None:
        raise ConfigError("without --judge there are no votes to keep", where="--journal", fix="leave it out")


def _listed(path: Path) -> Constitution:
    """A constitution, or a list of principles of any kind that can be imported."""
    from charter.constitution import Constitution
    from charter.constitution.exchange import import_file

    if path.name.endswith(".constitution.md"):
        return Constitution.load(path)
    return import_file(path).constitution


def _voter(spec: str, votes: Path, seed: int) -> Voter:
    from charter.feedback.judging.open_judge import RULES
    from charter.feedback.recovering.judged_votes import Voter

    if spec == RULES:
        from charter.errors import ConfigError

        raise ConfigError(
            "principles with rules are always judged by them", where="--judge", fix="leave it out"
        )
    return Voter(_model(spec, "--judge", votes), votes, seed)


def _model(spec: str, option: str, votes: Path) -> Judge:
    """A model that answers questions; an endpoint's replies are kept beside the votes."""
    from charter.errors import ConfigError
    from charter.feedback.judging.model import JudgeModel, OptionModel
    from charter.feedback.judging.open_judge import open_model

    model = open_model(spec, journal=votes.with_name(f"{votes.name}.replies"))
    if not isinstance(model, JudgeModel | OptionModel):
        raise ConfigError(
            f"{spec!r} judges single answers under the principles it was trained on, and compares none",
            where=option,
            fix="name a language model or an endpoint",
        )
    return model


def _proposed(
    spec: str, pairs: Pairs, options: Options, votes: Path
) -> tuple[Constitution | None, dict[str, Any]]:
    """Principles that a model reads out of the training pairs; None = it proposed none."""
    from charter.constitution.exchange import import_text
    from charter.feedback.judging.ask import speaker
    from charter.feedback.recovering.pairs import split
    from charter.feedback.recovering.propose import Asked, propose

    model = speaker(_model(spec, "--propose", votes))
    shown = split(pairs.pairs, options.held_out, options.seed).train
    proposal = propose(model, shown, Asked(seed=options.seed))
    if not proposal.texts:
        return None, proposal.about
    listed = json.dumps(list(proposal.texts))
    return import_text(listed, "proposed.json", "principle-list").constitution, proposal.about


# -- output -------------------------------------------------------------------


def _write(
    found: Recovery,
    whole: Mapping[str, Any],
    out: Path | None,
    report: Path | None,
    annotated: Path | None,
) -> None:
    from charter.feedback.recovering.drafting import annotated_pairs, draft
    from charter.rundir import write_text

    if report is not None:
        write_text(report, json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        typer.echo(f"wrote {report}", err=True)
    if annotated is not None:
        text = json.dumps(annotated_pairs(found), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(annotated, text + "\n")
        typer.echo(f"wrote {annotated}", err=True)
    if out is not None:
        name = out.name.removesuffix(".constitution.md").removesuffix(".md")
        from charter.constitution.exchange import ImportOptions

        write_text(out, draft(found, ImportOptions(name=name, examples=2)).text)
        typer.echo(f"wrote {out}: what was preferred, not what ought to be", err=True)


def _show(found: Recovery, trip: RoundTrip | None) -> None:
    from rich.console import Console

    console = Console()
    shown = [one for one in found.findings if one.standing not in ("unsupported", "irrelevant")]
    if shown:
        console.print(_table(shown))
    for line in _lines(found, trip):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(shown: list[Finding]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(pad_edge=False, box=None)
    table.add_column("select the answer that ...", overflow="fold", min_width=20)
    for column in ("for", "against", "right", "95%", "votes on", "worth", "others equal"):
        table.add_column(column, justify="right")
    table.add_column("standing", overflow="fold", min_width=12)
    for one in shown:
        table.add_row(*(Text(cell) for cell in _row(one)))
    return table


def _row(one: Finding) -> tuple[str, ...]:
    from charter.stats import percent

    held = one.held_out
    right, relevant, performance = held.accuracy, held.relevance, held.performance
    by = f" ({_short(one.explained_by.about)})" if one.explained_by is not None else ""
    return (
        _short(one.candidate.says),
        str(held.agree),
        str(held.disagree),
        "" if right is None else percent(right[0]),
        "" if right is None else f"{percent(right[1].lo)}-{percent(right[1].hi)}",
        "" if relevant is None else percent(relevant[0]),
        "" if performance is None else f"{performance[0]:+.2f}",
        "" if one.partial is None else f"{one.partial.effect[0]:+.2f}",
        one.standing + by,
    )


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}\u2026"


def _lines(found: Recovery, trip: RoundTrip | None) -> Iterator[str]:
    from charter.feedback.recovering.recovery import limits_of
    from charter.stats import percent

    counts = found.counts
    yield (
        f"{counts['pairs']} pairs of {counts['prompts']} prompts; {counts['candidates tested']} of "
        f"{counts['candidates']} candidates tested on {counts['pairs to test on']} held-out pairs"
    )
    if not found.principles:
        yield "no principle was recovered: the preferences follow nothing that was measured"
    for what, n in found.left_out.items():
        yield f"left out: {n} {what}"
    for why, n in found.abstained.items():
        yield f"no vote of the judge: {n} ({why})"
    yield "picks the preferred answer of held-out pairs:"
    for pick in found.reconstruction.picks:
        rate, bounds = pick.accuracy
        yield f"  {percent(rate):>4}  {percent(bounds.lo)} to {percent(bounds.hi)}  {pick.name}"
    if found.reconstruction.ceiling is not None:
        top = found.reconstruction.ceiling
        again = percent(top.agreement)
        yield f"  {percent(top.accuracy):>4}  the ceiling: two labels of a pair agree in {again}"
    if trip is not None:
        yield from _trip_lines(trip)
    for one in limits_of(found):
        yield f"note: {one}"


def _trip_lines(trip: RoundTrip) -> Iterator[str]:
    yield f"declared by {trip.constitution}:"
    for one in trip.declared:
        by = one.finding.explained_by if one.finding else None
        yield f"  {one.principle}: {one.outcome}{f' by: {by.says}' if by else ''}"
    yield from (f"WARNING: {line}" for line in trip.warning.splitlines())
