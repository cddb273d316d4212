"""Which judge stands behind a principle, in a few words."""

from __future__ import annotations

from collections.abc import Mapping

from charter.reporting.sections.row import Basis
from charter.stats import percent

EVIDENCE: Mapping[str, tuple[str, str, str]] = {
    "exact": ("✓", "exact", "rose"),
    "calibrated": ("✓", "calibrated", "rose"),
    "uncalibrated": ("?", "uncalibrated", "gate-undecided"),
    "undecided": ("?", "not used yet", "gate-undecided"),
    "refused": ("✕", "refused", "fell"),
    "untested": ("○", "nobody judges it", "not_measured"),
}
"""Mark, word and class of each kind of evidence."""

_UNKNOWN = ("●", "", "kept")


def chip_of(evidence: str) -> tuple[str, str, str]:
    """Mark, word and class; a kind that is not known shows its own name."""
    mark, word, kind = EVIDENCE.get(evidence, _UNKNOWN)
    return mark, word or evidence, kind


def basis_words(basis: Basis | None) -> str:
    """Who judged, and how well; '' where it is not said."""
    if basis is None:
        return ""
    name = basis.name or "a judge"
    if basis.evidence == "exact":
        return "checked by a rule" if basis.name in ("", "rule") else f"judged by {name}"
    if basis.evidence == "calibrated":
        return f"judged by {name}{_errors(basis)}"
    if basis.evidence == "uncalibrated":
        return f"judged by {name}, whose errors are not known: shown, never claimed"
    if basis.evidence == "refused":
        failed = "failed its card" in basis.why
        return f"{name} failed its card, so it is not used" if failed else f"{name} may not judge it"
    if basis.evidence == "undecided":
        return f"too little is known of {name} to use it"
    return basis.why or "nobody judges it"


def _errors(basis: Basis) -> str:
    if basis.sensitivity is None or basis.specificity is None:
        return ""
    return (
        f": passes {percent(basis.sensitivity)} of good answers, catches {percent(basis.specificity)} of bad"
    )
