"""How each principle is judged, and how far what is said of it may be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from charter.constitution import Constitution, Principle
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Limits
from charter.stats.judge_rate import JudgeErrors

Evidence = Literal["exact", "calibrated", "uncalibrated", "refused", "undecided", "untested"]
"""``exact``: a rule, or people's own verdicts. ``calibrated``: a model's verdicts, whose errors are known, so
that rates are corrected. ``uncalibrated``: a model's verdicts, whose errors are not known: shown and never
claimed. ``refused``: the judge failed its card, or may not judge this model. ``undecided``: too little is
known of the judge to use it. ``untested``: nobody judges the principle."""

MEASURES: frozenset[Evidence] = frozenset({"exact", "calibrated", "uncalibrated"})
"""Evidence that has numbers."""

MIN_LABELS = Limits().min_labels
"""Labels of the measured answers from which they calibrate the judge themselves."""

Side = Literal["before", "after"]
Place = tuple[Side, str, int]
"""An answer: of which model, to which prompt, the how many-th."""


class Placed(NamedTuple):
    """A person's label of a measured answer.

    Attributes:
        good: it keeps to the principle.
        random: it was drawn at random from its model's answers, to be labelled.
    """

    good: bool
    random: bool = False


@dataclass(frozen=True)
class Basis:
    """What stands behind one principle's verdicts.

    Attributes:
        principle: its id.
        by: ``rule``, a judge's name, or "" = nobody.
        evidence: see :data:`Evidence`.
        why: of that, in words.
        errors: the judge on answers whose label is known; None = exact, or not known.
        human_alpha: how far people agree on the principle among themselves; None = not known.
        labels: people's labels of the measured answers themselves.
    """

    principle: str
    by: str = ""
    evidence: Evidence = "exact"
    why: str = ""
    errors: JudgeErrors | None = None
    human_alpha: float | None = None
    labels: Mapping[Place, Placed] = field(default_factory=dict)

    @property
    def measures(self) -> bool:
        """Whether there may be a number."""
        return self.evidence in MEASURES

    @property
    def may_claim(self) -> bool:
        """Whether a gate or a change may rest on it."""
        return self.evidence in ("exact", "calibrated")

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; see ``reporting/schema.md``."""
        errors = self.errors
        return {
            "name": self.by,
            "evidence": self.evidence,
            "why": self.why,
            "sensitivity": errors.sensitivity if errors else None,
            "sensitivity_interval": list(errors.sensitivity_interval()) if errors else None,
            "specificity": errors.specificity if errors else None,
            "specificity_interval": list(errors.specificity_interval()) if errors else None,
            "calibration_labels": errors.labels if errors else 0,
            "labels_of_these_answers": len(self.labels),
            "labels_drawn_at_random": sum(one.random for one in self.labels.values()),
            "human_alpha": self.human_alpha,
        }


def left_to_judges(constitution: Constitution) -> list[Principle]:
    """Active principles that rules do not settle and that can be judged at all."""
    return [one for one in constitution.active if one.rules is None and one.type != "definition"]


def bases_of(
    constitution: Constitution, judge: str = "", card: JudgeCard | None = None, refused: str = ""
) -> dict[str, Basis]:
    """What each active principle is judged by.

    Args:
        constitution: has the principles.
        judge: name of the judge; "" = rules alone.
        card: of that judge; a principle it does not name is not judged.
        refused: why the judge may judge nothing here; "" = it may.
    """
    return {one.id: _basis(one, judge, card, refused) for one in constitution.active}


def _basis(principle: Principle, judge: str, card: JudgeCard | None, refused: str) -> Basis:
    id = principle.id
    if principle.rules is not None:
        return Basis(id, "rule")
    if principle.type == "definition":
        return Basis(id, evidence="untested", why="a definition is not judged")
    if not judge:
        return Basis(id, evidence="untested", why="no rule checks this principle, and no judge was given")
    if refused:
        return Basis(id, judge, "refused", refused)
    one = card.of(id) if card else None
    if one is None:
        return Basis(id, judge, "untested", "the judge has no card for this principle")
    if one.sha != principle.sha:
        return Basis(id, judge, "untested", "the principle has changed since the judge was examined")
    return _carded(id, judge, one)


def _carded(id: str, judge: str, one: PrincipleCard) -> Basis:
    alpha = one.agreement.value if one.agreement else None
    if one.use == "calibrated" and one.errors is not None:
        return Basis(id, judge, "calibrated", one.why, one.errors, alpha)
    if one.use in ("calibrated", "uncalibrated"):
        return Basis(id, judge, "uncalibrated", f"uncalibrated: {one.why}", None, alpha)
    failed = "failed its card" if one.use == "refused" else "has too little on its card to be used"
    return Basis(id, judge, one.use, f"the judge {failed}: {one.why}", None, alpha)


def with_labels(bases: Mapping[str, Basis], labels: Mapping[str, Mapping[Place, Placed]]) -> dict[str, Basis]:
    """The bases with people's labels of the measured answers.

    Enough labels of the aligned model's own answers calibrate a judge that nothing else had calibrated.
    One that failed its card stays refused.
    """
    found = {}
    for id, basis in bases.items():
        mine = labels.get(id, {})
        if not basis.measures or basis.evidence == "exact" or not mine:
            found[id] = basis
            continue
        own = sum(place[0] == "after" for place in mine)
        enough = own >= MIN_LABELS and basis.evidence == "uncalibrated"
        found[id] = replace(
            basis,
            labels=mine,
            evidence="calibrated" if enough else basis.evidence,
            why=f"people labelled {own} of these very answers" if enough else basis.why,
        )
    return found


def usable(bases: Mapping[str, Basis]) -> list[str]:
    """Principles that the judge is asked about."""
    return [id for id, one in bases.items() if one.measures and one.evidence != "exact"]


def reasons(bases: Mapping[str, Basis]) -> dict[str, str]:
    """Why the judge is not asked about the others."""
    return {id: one.why for id, one in bases.items() if not one.measures}
