"""Examining a judge: everything is asked, and the card is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

from charter.constitution import Constitution, Principle
from charter.errors import ConstitutionError, did_you_mean
from charter.evaluation.judge_card import bias
from charter.evaluation.judge_card.asking import Judge, Subject
from charter.evaluation.judge_card.calibration import (
    GoldAnswer,
    GoldPair,
    PairVerdict,
    asked,
    errors_of,
    gold_answers,
    gold_pairs,
    judge_answers,
    judge_pairs,
    label_criterion,
    longest_criterion,
    pair_criterion,
)
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Criterion, Limits
from charter.evaluation.judge_card.drift import SIZE, Anchor, clusters_of, drift_criterion, verdicts_of
from charter.evaluation.judge_card.flipped import flipped_criterion
from charter.evaluation.judge_card.gate import use_of
from charter.evaluation.judge_card.injection import Called, injection_criterion, judge_planted
from charter.evaluation.judge_card.labels import Labels
from charter.stats.alt_test import EPSILON, AltTest, alt_test
from charter.stats.judge_rate import JudgeErrors
from charter.stats.kappa import Kappa, cohen_kappa

PROBES = 20
"""Most answers of a principle that are shown as markdown, and as many with planted words."""


@dataclass
class _Found:
    """What one principle's examination brought."""

    principle: Principle
    pairs: list[PairVerdict] = field(default_factory=list)
    flipped: list[PairVerdict] | None = None
    labelled: list[tuple[GoldAnswer, bool | None]] = field(default_factory=list)
    examples: list[tuple[GoldAnswer, bool | None]] = field(default_factory=list)
    styles: list[bias.Preferred] = field(default_factory=list)
    planted: list[Called] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)


def judged_by_models(constitution: Constitution) -> list[str]:
    """Active principles that rules do not settle: what a judge's card is about."""
    return [one.id for one in constitution.active if one.rules is None and one.type != "definition"]


def examine(
    subject: Subject,
    constitution: Constitution,
    *,
    labels: Labels | None = None,
    only: Collection[str] = (),
    anchor: Anchor | None = None,
    limits: Limits | None = None,
    epsilon: float = EPSILON["skilled"],
    probes: int = PROBES,
) -> JudgeCard:
    """Ask ``subject`` everything its card needs.

    For a principle with P pairs and L labelled answers a judge of single answers is asked about
    ``8 P + examples + L`` answers, and twice ``probes`` or fewer for markdown and for planted words each.

    Args:
        subject: the judge.
        constitution: whose GOOD and BAD answers it is tested on.
        labels: what people said.
        only: principles; empty = those that rules do not settle.
        anchor: its verdicts at an earlier time.
        limits: what it must reach.
        epsilon: the alternative-annotator test's margin.
        probes: see :data:`PROBES`.

    Raises:
        ConstitutionError: ``only`` names an unknown or retired principle, or there is nothing to examine.
        Interrupted: the person asked to stop.
    """
    limits, labels = limits or Limits(), labels or Labels()
    wanted = _wanted(constitution, only)
    left_out: Counter[str] = Counter(labels.left_out)
    labelled = [one.principle for one in labels.answers] + [one.principle for one in labels.pairs]
    unwanted = sum(id not in wanted for id in labelled)
    if unwanted:
        left_out["labels of principles that are not examined"] = unwanted
    found = [_ask(subject, constitution, constitution.principle(id), labels, probes) for id in wanted]
    everything = [verdict for one in found for verdict in one.pairs]
    now, hang = _anchors(found, constitution, None), _clusters(found, constitution)
    wide = (
        bias.position_criterion(everything, limits),
        bias.length_criterion(everything, limits),
        bias.style_criterion([form for one in found for form in one.styles], limits),
        bias.self_preference_criterion(_rated(found, labels, subject), limits),
        injection_criterion([called for one in found for called in one.planted], limits),
        drift_criterion(anchor, now, limits, hang),
    )
    cards = tuple(_card(one, labels, wide, limits, subject, epsilon) for one in found)
    anchors = _anchors(found, constitution)
    return JudgeCard(
        subject.name, constitution.name, constitution.sha, limits, wide, cards, dict(left_out), anchors
    )


def _wanted(constitution: Constitution, only: Collection[str]) -> list[str]:
    active = [one.id for one in constitution.active]
    for id in only:
        if id not in active:
            raise ConstitutionError(
                f"no active principle {id!r}", where=constitution.path, fix=did_you_mean(id, active)
            )
    wanted = [id for id in active if id in only] if only else judged_by_models(constitution)
    if not wanted:
        raise ConstitutionError(
            "rules settle every principle, so no judge is needed",
            where=constitution.path,
            fix="name principles to examine a judge on them all the same",
        )
    return wanted


def _ask(
    subject: Subject, constitution: Constitution, principle: Principle, labels: Labels, probes: int
) -> _Found:
    id = principle.id
    found = _Found(principle)
    judge = subject.open(constitution, [id])
    gold = gold_pairs(constitution, id)
    human = [one for one in labels.pairs if one.principle == id]
    found.pairs, missing = judge_pairs(judge, [*gold, *human], f"{id}: pairs")
    found.missing.update(missing)
    if subject.open_flipped is not None:
        opposite = subject.open_flipped(constitution, [id])
        found.flipped, missing = judge_pairs(opposite, [*gold, *human], f"{id}: opposite question")
        found.missing.update(missing)
    if not subject.pairwise:
        found.examples = _alone(judge, gold_answers(constitution, id), f"{id}: examples", found.missing)
        mine = [one for one in labels.answers if one.principle == id]
        found.labelled = _alone(judge, mine, f"{id}: labelled answers", found.missing)
    _probe(judge, subject, found, [*gold, *human], probes)
    return found


def _probe(judge: Judge, subject: Subject, found: _Found, pairs: Sequence[GoldPair], probes: int) -> None:
    """Answers of one text are shown once, however many pairs they are in."""
    principle = found.principle
    good = {pair.good: pair for pair in pairs}
    if not bias.about_format(f"{principle.title} {principle.text}"):
        shown = [GoldAnswer(p.cluster, p.principle, p.context, p.good, True) for p in good.values()][:probes]
        found.styles, _ = bias.judge_styles(judge, shown, f"{principle.id}: markdown")
    bad = list({pair.bad: pair for pair in pairs}.values())[:probes]
    found.planted = judge_planted(judge, bad, f"{principle.id}: planted words", pairwise=subject.pairwise)


def _alone(
    judge: Judge, answers: Sequence[GoldAnswer], label: str, missing: Counter[str]
) -> list[tuple[GoldAnswer, bool | None]]:
    passed, silent = judge_answers(judge, answers, label)
    missing.update(silent)
    return list(zip(answers, passed, strict=True))


def _card(
    found: _Found,
    labels: Labels,
    wide: Sequence[Criterion],
    limits: Limits,
    subject: Subject,
    epsilon: float,
) -> PrincipleCard:
    principle = found.principle
    gold = [one for one in found.pairs if one.pair.source == "example"]
    errors = errors_of(*_columns(found.labelled)) if found.labelled else None
    own = (
        pair_criterion(gold, limits),
        longest_criterion(found.pairs, limits),
        flipped_criterion(found.pairs, found.flipped, limits),
        label_criterion(errors or JudgeErrors(0, 0, 0, 0), limits, pairwise=subject.pairwise),
    )
    use, why = use_of(own, wide)
    return PrincipleCard(
        principle.id,
        principle.title,
        principle.sha,
        use,
        why,
        own,
        errors,
        errors_of(*_columns(found.examples)) if found.examples else None,
        _kappa(found, limits),
        labels.agreement(principle.id, limits.level),
        _alt_test(found, labels, epsilon),
        dict(found.missing),
    )


def _columns(rows: Sequence[tuple[GoldAnswer, bool | None]]) -> tuple[list[GoldAnswer], list[bool | None]]:
    return [answer for answer, _ in rows], [passed for _, passed in rows]


def _kappa(found: _Found, limits: Limits) -> Kappa | None:
    both = [(answer, passed) for answer, passed in found.labelled if passed is not None]
    if not both:
        return None
    return cohen_kappa(
        [answer.good for answer, _ in both],
        [passed for _, passed in both],
        level=limits.level,
        clusters=[asked(answer.context) for answer, _ in both],
    )


def _alt_test(found: _Found, labels: Labels, epsilon: float) -> AltTest | None:
    """Items on which the raters are split have no majority, but raters all the same; they are not judged."""
    people = labels.raters.get(found.principle.id, {})
    judge: dict[Hashable, float] = {
        answer.id: float(passed) for answer, passed in found.labelled if passed is not None
    }
    return alt_test(people, judge, epsilon=epsilon) if len(people) > 1 and judge else None


def _rated(found: Sequence[_Found], labels: Labels, subject: Subject) -> list[bias.Rated]:
    return [
        bias.Rated(answer.model in subject.own_models, passed, labels.share[answer.id], asked(answer.context))
        for one in found
        for answer, passed in one.labelled
        if passed is not None and answer.model
    ]


def _anchors(found: Sequence[_Found], constitution: Constitution, size: int | None = SIZE) -> dict[str, str]:
    return verdicts_of(*_judged(found), _shas(constitution), size)


def _clusters(found: Sequence[_Found], constitution: Constitution) -> dict[str, Hashable]:
    return clusters_of(*_judged(found), _shas(constitution))


def _judged(found: Sequence[_Found]) -> tuple[list[PairVerdict], list[tuple[GoldAnswer, bool | None]]]:
    return [verdict for one in found for verdict in one.pairs], [row for one in found for row in one.labelled]


def _shas(constitution: Constitution) -> dict[str, str]:
    return {one.id: one.sha for one in constitution.principles}
