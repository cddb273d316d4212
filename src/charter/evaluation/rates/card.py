"""The adherence card: what is measured, claimed, kept and missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from charter.errors import UserError
from charter.evaluation.rates.basis import Basis
from charter.evaluation.rates.change import Change, Rate
from charter.evaluation.rates.correction import Corrected, CorrectedChange
from charter.evaluation.rates.gates import GateResult, exit_code
from charter.evaluation.rates.level_row import LevelRow, Verdict

Status = Literal["rose", "fell", "kept", "measured", "not_measured"]
"""``measured``: one model alone, so no change to speak of. The others: docs/report.md."""


_OWN_FORM = frozenset(
    {"missing_before", "missing_after", "basis", "corrected_before", "corrected_after", "corrected_change"}
)
"""Attributes of a row that its JSON writes in another form."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """When a change is claimed, fixed before the data are seen.

    Attributes:
        level: confidence level of all intervals.
        alpha: a rise needs a corrected p-value below it, a fall an uncorrected one.
        min_prompts: applicable held-out prompts a claim needs.
        ceiling: a base rate above it leaves too little room for a claim.
        seed: of bootstrap and permutation.

    Raises:
        UserError: a value out of range.
    """

    level: float = 0.95
    alpha: float = 0.05
    min_prompts: int = 40
    ceiling: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("level", "alpha", "ceiling"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0 or (value == 1.0 and name != "ceiling"):
                raise UserError(f"{name} is {value!r}; it must lie between 0 and 1")
        if self.min_prompts < 1:
            raise UserError(f"min_prompts is {self.min_prompts!r}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class Coverage:
    """Held-out prompts: used, and left out because only one model answered them."""

    prompts: int
    base_only: int
    aligned_only: int


@dataclass(frozen=True, slots=True)
class PrincipleRow:
    """One principle's evidence.

    Attributes:
        principle: its id.
        title: its heading.
        level: its level of authority.
        sha: sha256 of its text.
        applicable: prompts on which it was found to apply, for either model.
        n_prompts: prompts judged for every model compared; the n of the test.
        missing_before: base answers without a verdict, by reason.
        missing_after: aligned answers without a verdict, by reason.
        before: base rate; None when not measured or one model alone.
        after: aligned rate; None when not measured.
        change: None when not measured or one model alone.
        status: see :data:`Status`.
        why: the status in words.
        more: paired prompts to add for the present flips to become significant;
            None when not known or no number would do.
        reasons: judges' reasons for missing verdicts.
        basis: what judged it, and how far that may be believed; None = not said.
        applies: share of the aligned model's answers on which it was found to apply; None = none was judged.
        corrected_before: the base rate, corrected for the judge's errors; None = exact, or not known.
        corrected_after: the aligned rate likewise.
        corrected_change: likewise.
    """

    principle: str
    title: str
    level: str
    sha: str
    applicable: int
    n_prompts: int
    missing_before: Mapping[str, int] | None
    missing_after: Mapping[str, int]
    before: Rate | None = None
    after: Rate | None = None
    change: Change | None = None
    status: Status = "not_measured"
    why: str = ""
    more: int | None = None
    reasons: tuple[str, ...] = ()
    basis: Basis | None = None
    applies: float | None = None
    corrected_before: Corrected | None = None
    corrected_after: Corrected | None = None
    corrected_change: CorrectedChange | None = None

    @property
    def judged(self) -> bool:
        """Whether its verdicts are a fallible judge's."""
        return self.basis is not None and self.basis.evidence in ("calibrated", "uncalibrated")

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; see ``reporting/schema.md``."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OWN_FORM}
        parts = (self.corrected_before, self.corrected_after, self.corrected_change)
        corrected = [None if one is None else one.to_json() for one in parts]
        return {
            **own,
            **{name: getattr(own[name], "to_json", lambda: None)() for name in ("before", "after", "change")},
            "missing": {
                "before": None if self.missing_before is None else dict(self.missing_before),
                "after": dict(self.missing_after),
            },
            "reasons": list(self.reasons),
            "judge": None if self.basis is None else self.basis.to_json(),
            "corrected": dict(zip(("before", "after", "change"), corrected, strict=True)),
        }


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over prompts and its change, without a claim."""

    before: Rate | None
    after: Rate
    change: Change | None


@dataclass(frozen=True, slots=True)
class OverallRow:
    """All measured principles together.

    Attributes:
        n_prompts: prompts behind the row.
        left_out: prompts not behind it, by reason.
        before: share of base answers that pass every applicable measured principle.
        after: the same of the aligned model; None when no prompt could be used.
        change: paired change of that share.
        status: as for a principle.
        why: the status in words.
        fraction: weighted mean fraction of applicable principles passed.
    """

    n_prompts: int
    left_out: Mapping[str, int]
    before: Rate | None = None
    after: Rate | None = None
    change: Change | None = None
    status: Status = "not_measured"
    why: str = ""
    more: int | None = None
    fraction: Mean | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AdherenceCard:
    """Everything :func:`charter.evaluation.rates.adherence.adherence` found."""

    overall: OverallRow
    principles: tuple[PrincipleRow, ...]
    gates: tuple[GateResult, ...] = ()
    coverage: Coverage = field(default_factory=lambda: Coverage(0, 0, 0))
    criteria: Criteria = field(default_factory=Criteria)
    levels: tuple[LevelRow, ...] = ()
    verdict: Verdict = field(default_factory=lambda: Verdict("ungated", "", ""))

    @property
    def not_measured(self) -> tuple[PrincipleRow, ...]:
        """Principles about which nothing is known."""
        return tuple(row for row in self.principles if row.status == "not_measured")

    @property
    def exit_code(self) -> int:
        """0 all gates pass, 1 one fails, 6 undecided."""
        return exit_code(self.gates)

    def to_json(self) -> dict[str, Any]:
        """The ``adherence`` part of ``report.json``; see ``report/schema.md``."""
        return {
            "overall": self.overall.to_json(),
            "principles": [row.to_json() for row in self.principles],
            "not_measured": [
                {"id": row.principle, "title": row.title, "why": row.why} for row in self.not_measured
            ],
            "gates": [gate.to_json() for gate in self.gates],
            "coverage": asdict(self.coverage),
            "criteria": asdict(self.criteria),
            "levels": [row.to_json() for row in self.levels],
            "verdict": asdict(self.verdict),
        }
