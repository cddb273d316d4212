"""What an evaluation is given besides a model and prompts, opened and checked before a model loads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.constitution.diff_rerun import affected
from charter.data.formats import LoadedData, groups_of, load_groups
from charter.data.read import read_rows
from charter.errors import ConfigError, UserError
from charter.evaluation.basis import Basis, bases_of, left_to_judges
from charter.evaluation.evaluate import Evaluation
from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.labels import Labels, read_labels
from charter.evaluation.judge_card.read import read_card
from charter.evaluation.judging import Adjudicator, check_card, given_judge, named_judge
from charter.evaluation.limits import read_older
from charter.evaluation.planning import EvaluationPlan, plan_evaluation
from charter.evaluation.report_json import evidence_of, report_of
from charter.evaluation.taught import Taught, check_run, read_taught
from charter.records import write_groups
from charter.rundir import RunDir, machine, now, versions, write_json

REPLIES = "judge.replies"
"""An endpoint's replies, so that nothing is asked twice."""

NO_CARD = "no card yet: the judge will be examined on the constitution's GOOD and BAD answers first"


@dataclass(frozen=True)
class Given:
    """What stands beside the model and the prompts.

    Attributes:
        judge: of the principles that rules leave open; None = nobody.
        card: of that judge; None = it is examined first.
        labels: what people said of answers.
        older: an older report.
        taught: what the model was trained on; None = not known.
    """

    judge: Adjudicator | None = None
    card: JudgeCard | None = None
    labels: Labels | None = None
    older: Mapping[str, Any] | None = None
    taught: Taught | None = None


def open_given(
    constitution: Constitution,
    *,
    judge: str | Judge | None = None,
    card: JudgeCard | str | Path | None = None,
    labels: Labels | str | Path | None = None,
    since: str | Path | None = None,
    run: str | Path | None = None,
    policy: str = "",
    base: Path | None = None,
    journal: Path | None = None,
) -> Given:
    """Read and check everything; nothing is asked and no model is loaded.

    Args:
        constitution: under what is measured.
        judge: a model, ``endpoint:MODEL@URL``, or a judge that is there already.
        card: of that judge, or its file.
        labels: what people said of answers, or their file.
        since: an older ``report.json``.
        run: the run directory, or the data file, that the model was trained with.
        policy: the model that is measured, as it was named.
        base: folder that the judge's folder is relative to.
        journal: file of an endpoint's replies.

    Raises:
        ConfigError: an option that cannot be, or that would have no effect.
        UserError: a file that is missing or wrong.
    """
    if judge is None:
        for name, value in (("card", card), ("labels", labels)):
            if value is not None:
                raise ConfigError(
                    f"{name} has no effect without a judge", where=name, fix="name one with judge"
                )
    elif not left_to_judges(constitution):
        raise ConfigError(
            "rules settle every principle, so a judge has no effect", where="judge", fix="leave it out"
        )
    carded = read_card(card) if isinstance(card, (str, Path)) else card
    if carded is not None:
        check_card(carded, constitution)
    people = read_labels(labels, constitution) if isinstance(labels, (str, Path)) else labels
    older = None if since is None else read_older(since)
    taught = None if run is None else read_taught(check_run(run))
    opened: Adjudicator | None
    if isinstance(judge, str):
        opened = named_judge(judge, constitution, card=carded, policy=policy, base=base, journal=journal)
    else:
        opened = None if judge is None else given_judge(judge, carded)
    return Given(opened, carded, people, older, taught)


def in_question(
    constitution: Constitution,
    principles: Collection[str] = (),
    changed_from: Constitution | str | Path | None = None,
) -> Constitution:
    """The constitution with only those principles in question; all of them where nothing is said.

    Args:
        constitution: as it is now.
        principles: their ids.
        changed_from: an older version: the principles that a report about it says nothing valid of.

    Raises:
        ConstitutionError: an unknown principle.
        UserError: both were given, or nothing changed.
    """
    if changed_from is None:
        return constitution.focused(principles) if principles else constitution
    if principles:
        raise UserError(
            "changed_from chooses the principles itself", where="principles", fix="give one of both"
        )
    old = changed_from if isinstance(changed_from, Constitution) else Constitution.load(changed_from)
    again = [one.principle for one in affected(old, constitution)]
    if not again:
        raise UserError("no principle must be measured again: the older report holds", where=old.path)
    return constitution.focused(again)


def own_prompts(constitution: Constitution) -> LoadedData:
    """The prompts of a constitution's tests with their tags; one that several tests ask is asked once.

    Raises:
        UserError: it has no tests.
    """
    tags: dict[str, list[str]] = {}
    ids: dict[str, str] = {}
    for principle in constitution.active:
        for case in principle.tests:
            for number, prompt in enumerate(case.prompts()):
                ids.setdefault(prompt, f"{principle.id}/{case.id}" + (f"/{number}" if number else ""))
                mine = tags.setdefault(prompt, [])
                mine += [tag for tag in case.config.tags if tag not in mine]
    if not ids:
        raise UserError(
            "the constitution has no test prompts",
            where=constitution.path,
            fix="give prompts, or add tests",
        )
    rows = [
        {"id": id, "prompt": [{"role": "user", "content": prompt}], "tags": tags[prompt]}
        for prompt, id in ids.items()
    ]
    return groups_of(read_rows(rows), "prompts")


def plan_of(
    constitution: Constitution,
    given: Given,
    prompts: str | Path | None = None,
    *,
    num_generations: int = 1,
    paired: bool = False,
) -> EvaluationPlan:
    """What an evaluation could show; nothing is asked and no model is loaded.

    Args:
        constitution: under what.
        given: of :func:`open_given`.
        prompts: file of held-out prompts; None = the constitution's own tests.
        num_generations: answers per prompt.
        paired: a model before alignment is measured as well.
    """
    loaded = own_prompts(constitution) if prompts is None else load_groups(str(prompts), "prompts")
    return plan_evaluation(
        constitution,
        loaded.groups,
        _expected(constitution, given),
        num_generations=num_generations,
        models=2 if paired else 1,
    )


def _expected(constitution: Constitution, given: Given) -> dict[str, Basis]:
    """What will judge each principle, as far as that is known before the judge is examined."""
    if given.judge is None or given.card is not None:
        return bases_of(constitution, "" if given.judge is None else given.judge.name, given.card)
    open = {one.id for one in left_to_judges(constitution)}
    return {
        id: Basis(id, given.judge.name, "uncalibrated", NO_CARD) if id in open else basis
        for id, basis in bases_of(constitution).items()
    }


def write_evaluation(
    out: str | Path,
    found: Evaluation,
    constitution: Constitution,
    given: Given,
    *,
    model: str,
    base: str | None = None,
    seed: int = 0,
    command: str = "",
) -> Path:
    """Write ``report.json``, ``report.html``, judged answers, tests and the judge's card into a directory.

    Returns:
        the page.
    """
    from charter.reporting import parse_report, write_report

    directory = RunDir(out)
    evidence = evidence_of(found, constitution, taught=given.taught, older=given.older)
    facts = {"machine": machine(), "versions": versions(), **({"command": command} if command else {})}
    report = report_of(evidence, constitution, model=model, base=base, created=now(), seed=seed, facts=facts)
    parse_report(report, where="report.json")  # what is wrong is found here, not by a reader
    write_json(directory.report_json, report)
    _write_groups(directory.path, found)
    if found.judge_card is not None:
        write_json(directory.path / "judge_card.json", found.judge_card.to_json())
    return write_report(directory.path)


def _write_groups(directory: Path, found: Evaluation) -> None:
    sides: Sequence[tuple[str, Any]] = (
        ("answers.jsonl", found.after),
        ("base_answers.jsonl", found.before),
        ("test_answers.jsonl", None if found.tests is None else found.tests.groups),
    )
    for name, groups in sides:
        if groups is not None:
            write_groups(directory / name, groups)


__all__ = ["REPLIES", "Given", "in_question", "open_given", "own_prompts", "plan_of", "write_evaluation"]
