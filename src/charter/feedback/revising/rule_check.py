"""Revisions that the constitution's rules find better than the answer; a revision alone is only a claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from charter.feedback.revising.record import Revised
from charter.feedback.revising.rows import revision_pairs
from charter.feedback.rewards.combine import share_passed
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.types import SampleTarget

NO_BETTER = "revisions that pass no more of the rules than the answer"
NOT_MEASURED = "revisions that no rule measures"


def better_by_rules(
    records: Sequence[Revised], feedback: ConstitutionFeedback
) -> tuple[list[Revised], dict[str, int]]:
    """Records whose last revision passes more of the applicable rules, by weight, than the first answer.

    Args:
        records: with or without revisions.
        feedback: judges by the rules.

    Returns:
        those kept, and the others with a revision by reason.
    """
    revised = [record for record in records if record.used]
    pairs = revision_pairs(revised)
    counts = Counter({NO_BETTER: 0, NOT_MEASURED: 0})
    kept = []
    for record, said in zip(revised, feedback.judge(pairs), strict=True):
        after, before = (
            share_passed([one for one in said if one.target == SampleTarget(index)]) for index in (0, 1)
        )
        if not isinstance(after, float) or not isinstance(before, float):
            counts[NOT_MEASURED] += 1
        elif after > before:
            kept.append(record)
        else:
            counts[NO_BETTER] += 1
    return kept, dict(counts)
