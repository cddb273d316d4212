"""What an evaluation is given besides a model and prompts, opened and checked before a model loads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.constitution.diff_rerun import affected
from charter.data.formats import LoadedData
from charter.errors import ConfigError, UserError
from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.labels import Labels, read_labels
from charter.evaluation.judge_card.read import read_card
from charter.evaluation.judges.concern import asked_about
from charter.evaluation.judges.judging import JudgeOrPanel, check_card, check_panel, given_judge
from charter.evaluation.judges.names import named_judges
from charter.evaluation.keep import Keep
from charter.evaluation.limits import read_older
from charter.evaluation.rates.basis import bases_of, left_to_judges
from charter.evaluation.rates.planning import EvaluationPlan, plan_evaluation
from charter.evaluation.taught import Taught, check_run, read_taught

CardOf = JudgeCard | str | Path
"""A judge's card, or its file."""


@dataclass(frozen=True)
class Given:
    """What stands beside the model and the prompts.

    Attributes:
        judge: of the principles that rules leave open, with its card where it has one; None = nobody.
        labels: what people said of answers.
        older: an older report.
        taught: what the model was trained on; None = not known.
    """

    judge: JudgeOrPanel | None = None
    labels: Labels | None = None
    older: Mapping[str, Any] | None = None
    taught: Taught | None = None


def open_given(
    constitution: Constitution,
    *,
    judge: str | Sequence[str] | Judge | None = None,
    card: CardOf | Sequence[CardOf] | None = None,
    labels: Labels | str | Path | None = None,
    labels_random: bool = False,
    since: str | Path | None = None,
    run: str | Path | None = None,
    policy: str = "",
    base: Path | None = None,
    keep: Keep | None = None,
) -> Given:
    """Read and check everything; nothing is asked and no model is loaded.

    Args:
        constitution: under what is measured.
        judge: a model, ``endpoint:MODEL@URL``, several of these as a panel, or a judge that is there already.
        card: of that judge, or its file; of a panel one for each judge, in any order.
        labels: what people said of answers, or their file.
        labels_random: of every labelled answer that is measured here it is said that it was drawn at random
            from its model's answers.
        since: an older ``report.json``.
        run: the run directory, or the data file, that the model was trained with.
        policy: the model that is measured, as it was named.
        base: folder that the judge's folder is relative to.
        keep: where replies and verdicts are kept; None = nowhere.

    Raises:
        ConfigError: an option that cannot be, or that would have no effect.
        UserError: a file that is missing or wrong.
    """
    if labels_random and labels is None:
        raise ConfigError(
            "labels_random has no effect without labels", where="labels_random", fix="give labels"
        )
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
    people = read_labels(labels, constitution) if isinstance(labels, (str, Path)) else labels
    if people is not None and labels_random:
        people = people.drawn_at_random()
    older = None if since is None else read_older(since)
    taught = None if run is None else read_taught(check_run(run))
    opened = None if judge is None else _judge_or_panel(constitution, judge, card, policy, base, keep)
    return Given(opened, people, older, taught)


def _judge_or_panel(
    constitution: Constitution,
    judge: str | Sequence[str] | Judge,
    card: CardOf | Sequence[CardOf] | None,
    policy: str,
    base: Path | None,
    keep: Keep | None,
) -> JudgeOrPanel:
    """The judge with its card, or the panel with its cards; nothing is loaded."""
    given = () if card is None else (card,) if isinstance(card, JudgeCard | str | Path) else tuple(card)
    cards = tuple(read_card(one) if isinstance(one, str | Path) else one for one in given)
    for one in cards:
        check_card(one, constitution)
    if isinstance(judge, str | Sequence):
        return named_judges(judge, constitution, cards=cards, policy=policy, base=base, keep=keep)
    if len(cards) > 1:
        raise ConfigError("one judge has one card", where="card", fix="give the card of this judge")
    panel = getattr(judge, "panel", None)
    check_panel(1 if panel is None else len(panel.judges), constitution)
    return given_judge(judge, cards[0] if cards else None)


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


def plan_of(
    constitution: Constitution,
    given: Given,
    prompts: LoadedData,
    *,
    num_generations: int = 1,
    paired: bool = False,
) -> EvaluationPlan:
    """What an evaluation could show; nothing is asked and no model is loaded.

    Args:
        constitution: under what.
        given: of :func:`open_given`.
        prompts: held-out prompts, or the constitution's own tests.
        num_generations: answers per prompt.
        paired: a model before alignment is measured as well.
    """
    bases = bases_of(constitution) if given.judge is None else given.judge.expected(constitution)
    return plan_evaluation(
        constitution,
        prompts.groups,
        asked_about(bases, constitution.active, prompts.groups),
        num_generations=num_generations,
        models=2 if paired else 1,
    )


__all__ = ["CardOf", "Given", "in_question", "open_given", "plan_of"]
