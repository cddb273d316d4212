"""What may be claimed of a row, and why, in words."""

from __future__ import annotations

from dataclasses import replace

from charter.evaluation.card import Criteria, OverallRow, PrincipleRow, Status
from charter.evaluation.change import Change, Rate
from charter.stats import more_pairs_to_decide, p_words, percent


def judge_row(row: PrincipleRow, rules: Criteria, family: int) -> PrincipleRow:
    """``row`` with its status, reason and the number of prompts that would decide.

    Args:
        row: a measured or empty row.
        rules: when a change is claimed.
        family: how many principles were tested together.
    """
    if row.after is None:
        return replace(row, status="not_measured", why=_unmeasured(row))
    if row.change is None or row.before is None:
        return replace(row, status="measured", why=_alone(row.after, row.n_prompts))
    status, why = _decide(row.before, row.change, row.n_prompts, rules)
    more = None
    if status == "kept" and not _barred(row.before, row.n_prompts, rules):
        more = _more(row.change, row.n_prompts, rules.alpha / max(1, family))
        why += _plan(more)
    return replace(row, status=status, why=why, more=more)


def judge_overall(row: OverallRow, rules: Criteria) -> OverallRow:
    """The same for all principles together, which is one test and needs no correction."""
    if row.after is None:
        left = ", ".join(f"{reason}: {n}" for reason, n in row.left_out.items())
        return replace(row, why=f"No prompt has a complete set of verdicts ({left or 'no prompts'}).")
    if row.change is None or row.before is None:
        return replace(row, status="measured", why=_alone(row.after, row.n_prompts))
    status, why = _decide(row.before, row.change, row.n_prompts, rules)
    more = None
    if status == "kept" and not _barred(row.before, row.n_prompts, rules):
        more = _more(row.change, row.n_prompts, rules.alpha)
        why += _plan(more)
    return replace(row, status=status, why=why, more=more)


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
    return f" At these rates about {more} more prompts would decide." if more else ""


def _alone(after: Rate, n: int) -> str:
    return f"{percent(after.rate)} of {n} prompts; no baseline to compare with."


def _unmeasured(row: PrincipleRow) -> str:
    if row.reasons:
        return f"{row.reasons[0][0].upper()}{row.reasons[0][1:].rstrip('.')}."
    if row.applicable:
        return "Judged for one of the two models only, never for both on the same prompt."
    return "It applied to no held-out prompt."
