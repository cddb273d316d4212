"""What the numbers say, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from charter.reporting.content import Report, Row
from charter.stats import p_words, percent, points

STATUS_WORDS: Mapping[str, str] = {
    "rose": "rose",
    "fell": "fell",
    "kept": "kept",
    "measured": "measured",
    "not_measured": "not measured",
}


def verdict(report: Report) -> str:
    """The result in one sentence."""
    row = report.adherence.overall
    if row.after is None:
        return "Adherence was not measured."
    share = f"{percent(row.after.rate)} of held-out answers pass every principle that applies to them"
    if row.before is None or row.change is None:
        interval = _interval(row.after.lo, row.after.hi, report)
        return f"{share} ({interval}); there is no baseline to compare with."
    by = f"After {report.algorithm.upper()}" if report.algorithm else "After alignment"
    numbers = (
        f"{signed(row.change.diff)} points, {_level(report)} interval {signed(row.change.lo)} to "
        f"{signed(row.change.hi)}, p\N{NO-BREAK SPACE}{_equals(row.change.p)}"
    )
    before = percent(row.before.rate)
    if row.status == "rose":
        return f"{by}, {share}, up from {before} ({numbers})."
    if row.status == "fell":
        return f"{by}, {share}, down from {before} ({numbers})."
    return f"{by}, {share}, against {before} before: no change is claimed ({numbers})."


def tally(report: Report) -> str:
    """How the principles came out, in one sentence."""
    rows = report.adherence.principles
    counts = Counter(row.status for row in rows)
    parts = [
        f"{counts[status] or 'none'} {told}"
        for status, told in (
            ("rose", "rose"),
            ("fell", "fell significantly"),
            ("kept", "kept without a claim"),
            ("measured", "measured"),
            ("not_measured", "not measured"),
        )
        if counts[status] or (status in ("rose", "fell") and any(row.change for row in rows))
    ]
    noun = "principle" if len(rows) == 1 else "principles"
    return (
        f"Of {len(rows)} {noun}: {', '.join(parts)}."
        if rows
        else "The constitution's principles are not listed."
    )


def falls(report: Report) -> str:
    """The principles that fell, by name; '' when none did."""
    names = [row.title for row in report.adherence.principles if row.status == "fell"]
    return f"Fell: {', '.join(names)}." if names else ""


def limits(report: Report) -> list[tuple[str, str]]:
    """What this report does not show: (heading, why)."""
    found: list[tuple[str, str]] = []
    adherence = report.adherence
    for row in adherence.principles:
        if row.status == "not_measured":
            found.append((f"{row.title}: not measured", row.why or "No reason was recorded."))
    for row in adherence.principles:
        if row.status == "kept":
            found.append((f"{row.title}: kept, not claimed", row.why or "No reason was recorded."))
    for row in adherence.principles:
        if lost := missing_words(row):
            found.append((f"{row.title}: verdicts missing", lost))
    for reason, count in adherence.left_out.items():
        found.append((_count(count, "prompt") + " not in the overall result", f"{_capital(reason)}."))
    if alone := adherence.base_only + adherence.aligned_only:
        found.append((_count(alone, "prompt") + " not used", "Only one of the two models answered."))
    n = adherence.overall.n
    if n is not None and 0 < n < adherence.min_prompts:
        found.append((f"Small sample: {n} prompts", "Intervals are wide, and only large changes can show."))
    return found


def missing_words(row: Row) -> str:
    """``3 base and 1 aligned answers: error 4``, or ''."""
    sides = (("base", row.missing_before), ("aligned", row.missing_after))
    told = [
        f"{side}: "
        + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
        for side, counts in sides
        if any(counts.values())
    ]
    return f"{_capital('; '.join(told))}." if told and row.status != "not_measured" else ""


def signed(change: float) -> str:
    """Percentage points with a true minus sign."""
    return points(change).replace("-", "\N{MINUS SIGN}")


def duration(seconds: float | None) -> str:
    """``2 min 05 s``; a dash when not recorded."""
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def _interval(lo: float, hi: float, report: Report) -> str:
    return f"{_level(report)} interval {percent(lo)} to {percent(hi)}"


def _level(report: Report) -> str:
    return f"{100 * report.adherence.level:g}%"


def _equals(p: float) -> str:
    return ("< 0.001" if p < 0.001 else f"= {p_words(p)}").replace(" ", "\N{NO-BREAK SPACE}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
