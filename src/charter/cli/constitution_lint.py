"""``charter constitution lint``: what is wrong, unmeasured, unclear or contradicts itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from charter.errors import ConfigError, ConstitutionError

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.constitution.findings import Finding
    from charter.feedback.contradictions import Contradictions
    from charter.feedback.judging.ask import Judge

_JUDGE = "Finds contradictions: a model's name or folder, or endpoint:MODEL@URL."


def lint_command(
    file: Annotated[Path, typer.Argument(help="The constitution, NAME.constitution.md.", metavar="FILE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    train: Annotated[
        list[Path] | None,
        typer.Option("--train", help="Training data that no test may stand in; may be given more than once."),
    ] = None,
    judge: Annotated[str | None, typer.Option("--judge", help=_JUDGE)] = None,
    max_pairs: Annotated[
        int | None, typer.Option("--max-pairs", min=1, help="Pairs the judge is asked about at most; 60.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", help="Keeps an endpoint's replies: what was paid is kept.")
    ] = None,
) -> None:
    """Find what is wrong, unmeasured or unclear. Exit 0: no errors; 1: errors."""
    from charter.constitution import Constitution
    from charter.constitution.constitution import read_text
    from charter.constitution.findings import Finding
    from charter.constitutions import located

    model = _model(judge, max_pairs, journal)
    file = Path(located(file))
    text = read_text(file)
    asked: Contradictions | None = None
    try:
        constitution = Constitution.from_text(text, file)
    except ConstitutionError as error:
        findings = [Finding("error", "unreadable", "", error.where or str(file), error.what, error.fix or "")]
    else:
        findings = _findings(constitution, train or [])
        if model is not None:
            asked = _contradictions(constitution, model, max_pairs)
            findings += asked.findings
        findings.sort(key=lambda finding: int(finding.where.rpartition(":")[2]))
    _tell(file, findings, asked, as_json)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


def _findings(constitution: Constitution, train: list[Path]) -> list[Finding]:
    from charter.cli.constitution_exchange import training_texts
    from charter.constitution.lint import lint
    from charter.constitution.lint_training import lint_training
    from charter.feedback.rules.lint import lint_rules

    found = lint(constitution) + lint_rules(constitution)
    return found + (lint_training(constitution, training_texts(train)) if train else [])


def _model(judge: str | None, max_pairs: int | None, journal: Path | None) -> Judge | None:
    """Who is asked; a mistake in the name is found before anything is read."""
    if judge is None:
        for option, given in (("--max-pairs", max_pairs), ("--journal", journal)):
            if given is not None:
                raise ConfigError("has no effect without a judge", where=option, fix="name one with --judge")
        return None
    from charter.feedback.judging.open_judge import RULES, open_model
    from charter.feedback.judging.spec import is_endpoint

    if judge == RULES:
        raise ConfigError("rules read answers, not principles", where="--judge", fix="name a model")
    if journal is not None and not is_endpoint(judge):
        raise ConfigError("only an endpoint's replies are kept", where="--journal", fix="leave it out")
    model = open_model(judge, journal=journal)
    # By what its class offers: `isinstance` would load a local model to look at its name.
    if not any(callable(getattr(type(model), name, None)) for name in ("answer", "option_logps")):
        raise ConfigError(
            f"{judge!r} judges answers under the principles it was trained on, and compares none",
            where="--judge",
            fix="name a language model or an endpoint",
        )
    return cast("Judge", model)


def _contradictions(constitution: Constitution, model: Judge, max_pairs: int | None) -> Contradictions:
    from charter.feedback.contradictions import contradictions
    from charter.feedback.contradictions.find import MOST
    from charter.interrupt import graceful

    with graceful():
        return contradictions(constitution, model, most=max_pairs or MOST)


# -- output -------------------------------------------------------------------


def _tell(file: Path, findings: list[Finding], asked: Contradictions | None, as_json: bool) -> None:
    errors = sum(finding.level == "error" for finding in findings)
    counts = {"errors": errors, "warnings": len(findings) - errors}
    if as_json:
        found = [finding.to_dict() for finding in findings]
        more = {} if asked is None else {"contradictions": asked.to_dict()}
        whole = {"path": str(file), **counts, "findings": found, **more}
        typer.echo(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    for finding in findings:
        typer.echo(_line(finding))
    if asked is not None:
        typer.echo(_asked_line(asked))
    typer.echo(f"{file}: {_count(errors, 'error')}, {_count(counts['warnings'], 'warning')}")


def _line(finding: Finding) -> str:
    about = f"{finding.principle}: " if finding.principle else ""
    texts = "".join(f"\n  | {text.replace(chr(10), f'{chr(10)}  |   ')}" for text in finding.texts)
    fix = f"\n  fix: {finding.fix}" if finding.fix else ""
    return f"{finding.where}: {finding.level}: {about}{finding.message} [{finding.code}]{texts}{fix}"


def _asked_line(asked: Contradictions) -> str:
    pairs, verdicts = asked.pairs, asked.verdicts
    left = [f"{pairs[why]} {why}" for why in pairs if why not in ("pairs", "asked") and pairs[why]]
    said = [f"{n} {verdict}" for verdict, n in verdicts.items() if n]
    told = (
        f"contradictions: {asked.judge} was asked about {pairs['asked']} of {pairs['pairs']} pairs, "
        f"in both orders ({', '.join(said) or 'none'})"
    )
    return told + (f"; not asked about: {', '.join(left)}" if left else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
