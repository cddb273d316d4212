"""The whole card: every criterion of every principle, and what the judge may be used for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.criterion import Criterion, Limits
from charter.evaluation.judge_card.gate import USABLE, Gated, Use
from charter.stats.agreement import Agreement
from charter.stats.alt_test import AltTest
from charter.stats.judge_rate import JudgeErrors
from charter.stats.kappa import Kappa


@dataclass(frozen=True)
class PrincipleCard:
    """A judge under one principle.

    Attributes:
        principle: its id.
        title: its heading.
        sha: of its text; a reworded principle needs a new card.
        use: see :data:`charter.evaluation.judge_card.gate.Use`.
        why: of that, in words.
        criteria: each with its reason.
        errors: on human-labelled answers, which correct rates; None without any.
        example_errors: on the constitution's own GOOD and BAD answers.
        kappa: of the judge and the people's majority; None without labels.
        agreement: of the people among themselves; None with fewer than two.
        alt_test: may the judge stand in for a person? None with fewer than two.
        missing: verdicts that did not come, by reason.
    """

    principle: str
    title: str
    sha: str
    use: Use
    why: str
    criteria: tuple[Criterion, ...]
    errors: JudgeErrors | None = None
    example_errors: JudgeErrors | None = None
    kappa: Kappa | None = None
    agreement: Agreement | None = None
    alt_test: AltTest | None = None
    missing: Mapping[str, int] = field(default_factory=dict)

    def criterion(self, name: str) -> Criterion:
        """The criterion of that name."""
        return next(one for one in self.criteria if one.name == name)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "principle": self.principle,
            "title": self.title,
            "sha": self.sha,
            "use": self.use,
            "why": self.why,
            "criteria": [one.to_json() for one in self.criteria],
            "errors": _errors(self.errors),
            "example_errors": _errors(self.example_errors),
            "kappa": None if self.kappa is None else _plain(asdict(self.kappa)),
            "agreement": None if self.agreement is None else _plain(asdict(self.agreement)),
            "alt_test": None if self.alt_test is None else _plain(asdict(self.alt_test)),
            "missing": dict(self.missing),
        }


@dataclass(frozen=True)
class JudgeCard:
    """A judge under a constitution.

    Attributes:
        judge: its name.
        constitution: name of the constitution.
        constitution_sha: its sha.
        limits: what had to be reached.
        wide: criteria over all principles together, which hold for each of them.
        principles: one card each.
        left_out: what was not used, by reason.
        anchors: verdicts for a later comparison, by item.
    """

    judge: str
    constitution: str
    constitution_sha: str
    limits: Limits
    wide: tuple[Criterion, ...]
    principles: tuple[PrincipleCard, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    anchors: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> frozenset[str]:
        """Principles the judge may be used for."""
        return frozenset(one.principle for one in self.principles if one.use in USABLE)

    @property
    def exit_code(self) -> int:
        """0 usable for every principle examined, 1 refused for one, 6 undecided."""
        uses = {one.use for one in self.principles}
        return 1 if "refused" in uses else 6 if "undecided" in uses or not uses else 0

    def of(self, principle: str) -> PrincipleCard | None:
        """The card of a principle; None where it was not examined."""
        return next((one for one in self.principles if one.principle == principle), None)

    def gated(self, judge: Judge) -> Gated:
        """``judge``, silent on every principle it may not be used for."""
        why = {one.principle: f"the judge is {one.use}: {one.why}" for one in self.principles}
        return Gated(judge, self.usable, why)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "judge": self.judge,
            "constitution": self.constitution,
            "constitution_sha": self.constitution_sha,
            "limits": asdict(self.limits),
            "judge_wide": [one.to_json() for one in self.wide],
            "principles": [one.to_json() for one in self.principles],
            "usable": sorted(self.usable),
            "left_out": dict(self.left_out),
        }


def _errors(errors: JudgeErrors | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    return {
        **asdict(errors),
        "sensitivity": errors.sensitivity,
        "sensitivity_interval": list(errors.sensitivity_interval()),
        "specificity": errors.specificity,
        "specificity_interval": list(errors.specificity_interval()),
    }


def _plain(value: Any) -> Any:
    """Intervals as lists."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
