"""What may be claimed of a row, and why, in words."""

from __future__ import annotations

from dataclasses import replace

from charter.evaluation.rates.card import Criteria, OverallRow, PrincipleRow, Status
from charter.evaluation.rates.change import Change, Rate
from charter.stats import more_pairs_to_decide, p_words, percent
from charter.stats.power import ODDS


def judge_row(row: PrincipleRow, rules: Criteria, family: int) -> PrincipleRow:
    """``row`` with its status, reason and the number of prompts that would decide.

    Args:
        row: a measured or empty row.
        rules: when a change is claimed.
        family: how many principles were tested together.
    """
    if row.after is None:
        return replace(row, status="not_measured", why=_unmeasured(row))
    if row.judged and (said := _of_a_judge(row)):
        return replace(row, status="measured", why=said)
    if row.change is None or row.before is None:
        return replace(row, status="measured", why=_alone(row.after, row.n_prompts))
    base, change = _base_rate(row), _true_change(row, row.change)
    status, why = _decide(base, change, row.n_prompts, rules)
    why += _tested(row)
    more = None
    if status == "kept" and not _barred(base, row.n_prompts, rules):
        more = _more(row.change, row.n_prompts, rules.alpha / max(1, family))
        why += _plan(more)
    return replace(row, status=status, why=why, more=more)


def judge_overall(row: OverallRow, rules: Criteria, judged: int = 0) -> OverallRow:
    """The same for all principles together, which is one test and needs no correction.

    Where ``judged`` principles rest on a fallible judge, nothing is claimed: whether it errs alike on both
    models says nothing of all verdicts together.
    """
    if row.after is None:
        left = ", ".join(f"{reason}: {n}" for reason, n in row.left_out.items())
        return replace(row, why=f"No prompt has a complete set of verdicts ({left or 'no prompts'}).")
    if judged:
        told = f"{percent(row.after.rate)} of {row.n_prompts} prompts as judged; {judged} of the principles"
        return replace(
            row,
            status="measured",
            why=f"{told} rest on a judge that errs, so nothing is claimed here: see the levels.",
        )
    if row.change is None or row.before is None:
        return replace(row, status="measured", why=_alone(row.after, row.n_prompts))
    status, why = _decide(row.before, row.change, row.n_prompts, rules)
    more = None
    if status == "kept" and not _barred(row.before, row.n_prompts, rules):
        more = _more(row.change, row.n_prompts, rules.alpha)
        why += _plan(more)
    return replace(row, status=status, why=why, more=more)


def _of_a_judge(row: PrincipleRow) -> str:
    """Why a judged row claims nothing, in words; "" = its change may be claimed."""
    assert row.after is not None and row.basis is not None
    said = f"The judge passes {percent(row.after.rate)} of {row.n_prompts} prompts"
    if row.basis.evidence == "uncalibrated":
        return (
            f"{said}; no label says how often it errs, so no rate and no change is claimed ({row.basis.why})."
        )
    found = row.corrected_after
    if found is None or found.estimate is None:
        reason = found.why if found else "its labels are all of one kind"
        return f"{said}; that cannot be corrected: {reason}."
    if row.change is None:
        span = f"{percent(found.lo)} to {percent(found.hi)}"
        return (
            f"{percent(found.estimate)} of {row.n_prompts} prompts after correction ({span}; as judged "
            f"{percent(row.after.rate)}); no baseline to compare with.{_supposes(row)}"
        )
    if row.corrected_change is None:
        return f"{said}; the change of the true rate cannot be told from it, so none is claimed."
    return ""


def _base_rate(row: PrincipleRow) -> Rate:
    """The base model's rate, corrected where it was judged."""
    assert row.before is not None
    found = row.corrected_before
    if not row.judged or found is None or found.estimate is None:
        return row.before
    return replace(row.before, rate=found.estimate, lo=found.lo, hi=found.hi)


def _true_change(row: PrincipleRow, raw: Change) -> Change:
    """The change whose direction counts: that of the true rates where verdicts are corrected."""
    found = row.corrected_change
    return raw if found is None else replace(raw, diff=found.diff, lo=found.lo, hi=found.hi)


def _tested(row: PrincipleRow) -> str:
    """What a test on a judge's verdicts is a test of."""
    change = row.corrected_change
    if change is None:
        return ""
    if change.method == "prediction_powered":
        return f" Tested: the true rates, by people's labels of both models' answers, if {change.assumes}."
    tested = f" Tested: the judge's verdicts; this is a test of the truth if {change.assumes}."
    return tested + _supposes(row)


def _supposes(row: PrincipleRow) -> str:
    """What the corrected rate rests on."""
    found = row.corrected_after
    return f" The corrected rate supposes that {found.assumes}." if found and found.assumes else ""


def _decide(before: Rate, change: Change, n: int, rules: Criteria) -> tuple[Status, str]:
    flips = f"{change.up} prompts went up, {change.down} went down"
    barred = _barred(before, n, rules)
    # A fall is called on the uncorrected value, and without any bar: harm is not to be corrected away.
    if change.diff < 0 and change.p < rules.alpha:
        return "fell", f"Significant fall (p {p_words(change.p)}): {flips}."
    if barred:
        return "kept", f"{barred} {flips[0].upper()}{flips[1:]}."
    if change.diff > 0 and change.p_holm < rules.alpha:
        word = "p" if change.p_holm == change.p else "corrected p"
        return "rose", f"Significant rise ({word} {p_words(change.p_holm)}): {flips}."
    words = f"p {p_words(change.p)}"
    if change.p_holm != change.p:
        words += f", corrected {p_words(change.p_holm)}"
    return "kept", f"No significant change ({words}): {flips}."


def _barred(before: Rate, n: int, rules: Criteria) -> str:
    """Why no rise could be claimed whatever happened, or ''."""
    if n < rules.min_prompts:
        return f"Only {n} judged held-out prompts; a claim needs {rules.min_prompts}."
    if before.rate > rules.ceiling:
        return f"The base model already passes {percent(before.rate)}: too near its ceiling to claim a rise."
    return ""


def _more(change: Change, n: int, alpha: float) -> int | None:
    if change.test != "mcnemar":
        return None
    return more_pairs_to_decide(change.down, change.up, n, alpha) or None


def _plan(more: int | None) -> str:
    return f" At these rates about {more} more prompts would decide{ODDS}." if more else ""


def _alone(after: Rate, n: int) -> str:
    return f"{percent(after.rate)} of {n} prompts; no baseline to compare with."


def _unmeasured(row: PrincipleRow) -> str:
    if row.basis is not None and not row.basis.measures:
        return f"{row.basis.why[0].upper()}{row.basis.why[1:].rstrip('.')}."
    if row.reasons:
        return f"{row.reasons[0][0].upper()}{row.reasons[0][1:].rstrip('.')}."
    if row.applicable:
        return "Judged for one of the two models only, never for both on the same prompt."
    return "It applied to no held-out prompt."
