"""The whole of section C: every two corners, scores of judges and models, order flips, and the diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charter.constitution import Constitution
from charter.errors import UserError, did_you_mean
from charter.evaluation.consistency.agreement import DRAWS, Agreed, agreements
from charter.evaluation.consistency.diagnosis import Diagnosis, DiagnosisLimits, Evidence, diagnose
from charter.evaluation.consistency.flips import OrderFlips, order_flips
from charter.evaluation.consistency.items import PEOPLE, SPEC, Item, Items, read_items
from charter.evaluation.consistency.scores import Scores, ThreeWay, scores_of, three_way
from charter.evaluation.judge_card.labels import Labels
from charter.feedback.judging.family import family_of
from charter.stats.agreement import Agreement
from charter.types import Group

Answers = Mapping[str, Sequence[Group]] | Sequence[Group]


@dataclass(frozen=True)
class PrincipleConsistency:
    """One principle.

    Attributes:
        principle: its id.
        title: its heading.
        sha: of its text.
        pairs: corners that spoke of the same answers.
        people: agreement of raters among themselves; None = fewer than two.
        diagnosis: findings, each with its action.
    """

    principle: str
    title: str
    sha: str
    pairs: tuple[Agreed, ...]
    people: Agreement | None
    diagnosis: tuple[Diagnosis, ...]


@dataclass(frozen=True)
class Consistency:
    """What was found.

    Attributes:
        constitution: name.
        constitution_sha: sha.
        corners: names, in order: spec, the policy as its own judge, judges, people.
        self_judge: the policy as its own judge; "" = none of the judges is.
        policy: the model that is examined.
        pairs: over all principles together.
        principles: one by one.
        three_way: own constitution, own model, own judge; None without a self-judge.
        scores: judges x models.
        flips: order-flip rates.
        left_out: verdicts that are not used, by reason.
        limits: of the diagnosis.
    """

    constitution: str
    constitution_sha: str
    corners: tuple[str, ...]
    self_judge: str
    policy: str
    pairs: tuple[Agreed, ...]
    principles: tuple[PrincipleConsistency, ...]
    three_way: ThreeWay | None
    scores: Scores
    flips: tuple[OrderFlips, ...]
    left_out: Mapping[str, int]
    limits: DiagnosisLimits

    def pair(self, first: str, second: str, principle: str = "") -> Agreed | None:
        """Two corners, over all principles or of one; None = no answer in common."""
        pairs = next((p.pairs for p in self.principles if p.principle == principle), self.pairs)
        return next((one for one in pairs if {one.first, one.second} == {first, second}), None)

    def to_json(self) -> dict[str, Any]:
        """Section C of the report, as a JSON object; intervals are lists."""
        found: dict[str, Any] = plain(asdict(self))
        return {"schema": 1, **found}


def consistency(
    constitution: Constitution,
    answers: Answers,
    labels: Labels | None = None,
    *,
    own: Mapping[str, str] | None = None,
    policy: str = "",
    both_orders: bool = False,
    limits: DiagnosisLimits | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Consistency:
    """Compare what the examples, the policy as its own judge, judges and people say.

    Args:
        constitution: has the examples.
        answers: groups that judges have judged; see
            :func:`charter.evaluation.consistency.items.read_items`.
        labels: what people said.
        own: of a judge the model that is its own; others are told from their family's name.
        policy: the model that is examined; by default the one with most answers.
        both_orders: see :func:`charter.evaluation.consistency.flips.order_flips`.
        limits: where agreement begins and ends.
        level: of intervals.
        draws: of conversations.
        seed: of them.

    Raises:
        UserError: no verdicts, or ``own`` or ``policy`` names nothing that is there.
        DataError: see :func:`charter.evaluation.consistency.items.read_items`.
    """
    rules = limits or DiagnosisLimits()
    found = read_items(constitution, answers, labels)
    if not found.judges and labels is None:
        raise UserError(
            "no verdicts to compare", fix="judge the answers first: charter judge SAMPLES --output FILE"
        )
    models = _models(found)
    whose = _own_models(found.judges, models, own or {})
    if policy and policy not in models:
        raise UserError(f"no answers of a model {policy!r}", where="policy", fix=did_you_mean(policy, models))
    policy = policy or next(iter(models), "")
    self_judge = next((judge for judge in found.judges if whose.get(judge) == policy), "")
    judges = [judge for judge in found.judges if judge != self_judge]
    corners = [SPEC, *([self_judge] if self_judge else []), *judges, *([PEOPLE] if labels else [])]
    listed = found.of("")
    rows = []
    for principle in constitution.active:
        items = found.of(principle.id)
        pairs = agreements(items, corners, principle.id, level=level, draws=draws, seed=seed)
        people = labels.agreement(principle.id, level) if labels else None
        passes = {corner: _passes(items, corner, policy) for corner in corners if corner != SPEC}
        evidence = Evidence(principle.id, pairs, judges, self_judge, people, passes)
        rows.append(
            PrincipleConsistency(
                principle.id,
                principle.title,
                principle.sha,
                tuple(pairs),
                people,
                tuple(diagnose(evidence, rules)),
            )
        )
    groups = [g for part in (answers.values() if isinstance(answers, Mapping) else [answers]) for g in part]
    return Consistency(
        constitution.name,
        constitution.sha,
        tuple(corners),
        self_judge,
        policy,
        tuple(agreements(listed, corners, "", level=level, draws=draws, seed=seed)),
        tuple(rows),
        three_way(listed, self_judge, policy, level=level, draws=draws, seed=seed) if self_judge else None,
        scores_of(listed, list(found.judges), whose, level=level, draws=draws, seed=seed),
        order_flips(groups, both_orders=both_orders, level=level),
        found.left_out,
        rules,
    )


def _models(found: Items) -> dict[str, int]:
    """How many answers each model has, the most first."""
    counts: dict[str, int] = {}
    for item in found.of(""):
        for model in item.models:
            counts[model] = counts.get(model, 0) + 1
    return dict(sorted(counts.items(), key=lambda one: -one[1]))


def _own_models(judges: Sequence[str], models: Mapping[str, int], said: Mapping[str, str]) -> dict[str, str]:
    """The model that is each judge's own: what was said, the same name, or the only one of its family."""
    for judge, model in said.items():
        if judge not in judges:
            raise UserError(f"no judge {judge!r}", where="own", fix=did_you_mean(judge, judges))
        if model not in models:
            raise UserError(f"no answers of a model {model!r}", where="own", fix=did_you_mean(model, models))
    whose = dict(said)
    for judge in judges:
        family = family_of(judge)
        related = [model for model in models if family and family_of(model) == family]
        if judge in whose:
            continue
        if judge in models:
            whose[judge] = judge
        elif len(related) == 1:
            whose[judge] = related[0]
    return whose


def _passes(items: Sequence[Item], corner: str, policy: str) -> tuple[int, int]:
    said = [item.said[corner] for item in items if corner in item.said and policy in item.models]
    return sum(said), len(said)


def plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
