"""What a file of labels holds, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from charter.label import Label, is_decision, latest

WHOLE = "(whole answer)"
NO_GROUP = "(no group)"
NO_SCALE = "(no scale)"


def counts_of(labels: Sequence[Label]) -> dict[str, Any]:
    """Counts by rater, principle, kind, outcome, source and group; and what stands beside the labels."""
    raters_of: dict[str, set[str]] = {}
    for label in labels:
        raters_of.setdefault(label.item, set()).add(label.rater)
    overlap = Counter(len(raters) for raters in raters_of.values())
    return {
        "labels": len(labels),
        "items": len(raters_of),
        "raters": len({label.rater for label in labels}),
        "last_words": len(latest(labels)),
        "items_by_raters": {str(n): count for n, count in sorted(overlap.items())},
        "gold": sum(label.gold is not None for label in labels),
        "repeats": sum(bool(label.repeat_of) for label in labels),
        "with_suggestion": sum(label.suggestion is not None for label in labels),
        "order_recorded": sum(bool(label.shown) for label in labels),
        "timed": sum(label.seconds is not None for label in labels),
        "decisions": sum(is_decision(label) for label in labels),
        "text_unclear": sum(bool(label.meta.get("unclear")) for label in labels),
        "with_rationale": sum(bool(label.rationale) for label in labels),
        "by": {
            "rater": _by(label.rater for label in labels),
            "principle": _by(label.principle or WHOLE for label in labels),
            "kind": _by(label.kind for label in labels),
            "outcome": _by(label.outcome for label in labels),
            "source": _by(label.source for label in labels),
            "scale": _by(_scale(label) for label in labels if label.kind == "rating"),
            "group": _by(label.group or NO_GROUP for label in labels),
        },
    }


def _scale(label: Label) -> str:
    return f"{label.scale[0]:g} to {label.scale[1]:g}" if label.scale else NO_SCALE


def _by(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda one: (-one[1], one[0])))
