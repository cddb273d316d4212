"""Revised answers as files: the work behind ``charter revise`` and the stage ``revise``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.errors import ConfigError, DataError
from charter.feedback.judging.model import JudgeModel, OptionModel
from charter.feedback.judging.open_judge import open_model
from charter.feedback.judging.spec import is_endpoint
from charter.feedback.revising.options import ReviseOptions
from charter.feedback.revising.prompts import Wordings
from charter.feedback.revising.revise import revise
from charter.feedback.revising.rows import revision_preference_rows, sft_rows
from charter.feedback.revising.rule_check import better_by_rules
from charter.feedback.revising.rule_critic import RULES
from charter.feedback.revising.writer import JudgeWriter, Writer
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.rundir import write_json, write_jsonl
from charter.types import Group

To = Literal["sft", "preference"]

FILES: dict[To, str] = {"sft": "sft.jsonl", "preference": "preference.jsonl"}
"""What is trained on."""

ROWS = {"sft": sft_rows, "preference": revision_preference_rows}
TURNS = "revised.jsonl"
"""Every prompt with every critique and revision, whatever became of it."""

SUMMARY = "summary.json"


def read_answered(source: str) -> tuple[Group, ...]:
    """Prompts, with the column ``completion`` as their first answer where there is one.

    Raises:
        DataError: a mistake in the file.
    """
    loaded = load_groups(source, "prompts")
    if any("completion" in group.meta for group in loaded.groups):
        loaded = load_groups(source, "sft")
    return loaded.groups


def open_writer(spec: str, **options: Any) -> Writer:
    """Who writes, by name: a local model or ``endpoint:MODEL@URL``; loaded when it is first asked.

    Args:
        spec: see :func:`charter.feedback.judging.open_judge.open_model`.
        options: likewise.

    Raises:
        ConfigError: a model that only scores.
    """
    model = open_model(spec, **options)
    # `isinstance` looks at every attribute, and the name of a local model is known once it is loaded.
    if not callable(getattr(type(model), "answer", None)):
        raise ConfigError(f"{spec} writes no text, it only scores")
    return JudgeWriter(cast(JudgeModel, model))


def open_scorer(spec: str, **options: Any) -> OptionModel:
    """Who says how probable given answers are, by name; loaded when it is first asked.

    Args:
        spec: see :func:`charter.feedback.judging.open_judge.open_model`.
        options: likewise.

    Raises:
        ConfigError: an endpoint, or a model that only grades.
    """
    model = open_model(spec, **options)
    if not callable(getattr(type(model), "option_logps", None)):
        what = "an endpoint" if is_endpoint(spec) else "a distilled judge"
        raise ConfigError(
            f"{what} gives no log-probs of given answers, which this is made of",
            where=spec,
            fix="name a local language model: a known name, a hub id, or a folder",
        )
    return cast(OptionModel, model)


def revise_into(
    directory: Path,
    prompts: Sequence[Group],
    constitution: Constitution,
    critic: Writer,
    *,
    answerer: Writer | None = None,
    options: ReviseOptions | None = None,
    by_rules: bool = False,
    only_better: bool = False,
    to: Sequence[To] = ("sft", "preference"),
    words: Wordings | None = None,
) -> dict[str, Any]:
    """Answer, criticise, revise, and write the rows; see :func:`charter.feedback.revising.revise.revise`.

    Replies are kept in ``directory`` as they come: the same call after an interruption continues.

    Args:
        directory: for :data:`TURNS`, :data:`FILES`, :data:`SUMMARY` and the journals.
        prompts: what is answered.
        constitution: where principles come from.
        critic: criticises and revises.
        answerer: writes first answers; None = the critic.
        options: see :class:`ReviseOptions`.
        by_rules: the constitution's rules criticise, and ``critic`` only revises.
        only_better: keep only revisions that the constitution's rules find better.
        to: the rows wanted.
        words: what is asked.

    Returns:
        the summary, with one ``line`` for people.

    Raises:
        ConfigError: ``only_better`` of revisions that the rules have passed already.
        DataError: nothing is left to train on; the turns are written.
    """
    if by_rules and only_better:
        raise ConfigError(f"only_better has no effect with critic: {RULES}, which keeps nothing else")
    directory.mkdir(parents=True, exist_ok=True)
    found = revise(
        prompts,
        constitution,
        critic,
        answerer=answerer,
        options=options,
        journals=directory,
        words=words,
        by_rules=by_rules,
    )
    kept, counts = list(found.revised), dict(found.counts)
    if only_better:
        kept, more = better_by_rules(kept, ConstitutionFeedback(constitution))
        counts |= more
    counts["rows"] = len(kept)
    write_jsonl(directory / TURNS, (record.to_json() for record in found.records))
    for name in to:
        write_jsonl(directory / FILES[name], ROWS[name](kept))
    line = "; ".join(f"{count} {what}" for what, count in counts.items() if count) or "no prompts"
    summary = {
        "counts": counts,
        "principles": dict(Counter(step.principle for record in kept for step in record.used)),
        "constitution_sha": constitution.sha,
        "prompt_shas": dict(found.shas),
        "answered_by": (answerer or critic).name,
        "criticised_by": RULES if by_rules else critic.name,
        "revised_by": critic.name,
        "line": line,
    }
    write_json(directory / SUMMARY, summary)
    if not kept:
        raise DataError(
            f"no revision is left to train on: {line}",
            where=str(directory / TURNS),
            fix="read the critiques there; take another critic, or more rounds",
        )
    return summary
