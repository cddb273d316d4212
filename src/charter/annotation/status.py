"""``charter annotate status``: how it goes, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from charter.annotation.adjudicate import queue
from charter.annotation.database import Store
from charter.annotation.monitor import Rate, agreement, by_rater, coverage, rater_stats
from charter.annotation.rows import Snapshot, snapshot
from charter.annotation.site import constitution_of
from charter.stats.agreement import Agreement


def status_lines(store: Store) -> Iterator[str]:
    """Everything that ``status`` prints."""
    with store.read() as session:
        now = snapshot(session)
    scale = constitution_of(now.campaign).judge.scale
    strata = coverage(now)
    had, wanted = sum(one.labels for one in strata), sum(one.wanted for one in strata)
    paused = ", paused" if now.campaign.paused else ""
    yield f"{now.campaign.name}: {had} of {wanted} labels{paused}"
    for one in strata:
        skipped = f", {one.skipped} skipped" if one.skipped else ""
        yield f"  {one.labels:5d} of {one.wanted:<5d} {one.name}{skipped}"
    yield from _agreement_lines(agreement(now.labels))
    yield from _rater_lines(now)
    waiting = len(queue(now, scale))
    if waiting or now.unclear or now.decided:
        yield f"to adjudicate: {waiting}; decided: {len(now.decided)}; text unclear: {len(now.unclear)}"


def rate_text(rate: Rate) -> str:
    """A share with its interval and count; "none yet" where there is nothing."""
    if rate.share is None:
        return "none yet"
    ends = rate.interval
    return f"{rate.share:.0%} [{ends.lo:.0%}, {ends.hi:.0%}] of {rate.n}"


def alpha_text(one: Agreement) -> str:
    """Alpha with its interval; why not, where there is none."""
    if one.value is None:
        return f"not measured ({one.items} items with two labels or more)"
    return f"{one.value:.2f} [{one.interval.lo:.2f}, {one.interval.hi:.2f}] over {one.items} items"


def _agreement_lines(found: Mapping[tuple[str, str], Agreement]) -> Iterator[str]:
    if found:
        yield "agreement (Krippendorff's alpha):"
    for (principle, mode), one in found.items():
        yield f"  {principle or 'overall'}, {mode}: {alpha_text(one)}"


def _rater_lines(now: Snapshot) -> Iterator[str]:
    rows = [(name, labels) for name, labels in by_rater(now).items() if labels]
    if rows:
        yield "raters (tests right; same word when sides were swapped; first shown preferred):"
    for name, labels in rows:
        stats = rater_stats(labels)
        parts = [f"{stats.labels} labels", f"{stats.skipped} skipped"]
        parts += [f"tests {rate_text(stats.gold)}", f"repeats {rate_text(stats.repeats)}"]
        parts += [f"first {rate_text(stats.first)}"]
        if stats.one_sided:
            parts.append("one side much more often than the other")
        yield f"  {name}: {'; '.join(parts)}"
