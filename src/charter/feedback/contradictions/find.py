"""Contradictions between principles, as findings of the linter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charter.constitution import Constitution, Principle
from charter.constitution.findings import Finding
from charter.feedback.contradictions.asking import Heard, Verdict, heard, prompt
from charter.feedback.contradictions.candidates import candidates
from charter.feedback.contradictions.planted import check
from charter.feedback.judging.ask import Judge, Tally
from charter.feedback.judging.clause import clause_of

MOST = 60
"""Pairs asked about, where nobody says otherwise: 120 questions."""

_VERDICTS: tuple[Verdict, ...] = ("yes", "no", "unsure", "orders disagree", "no verdict")


@dataclass(frozen=True)
class Contradictions:
    """What a judge found.

    Attributes:
        findings: one for each pair that contradicts itself in both orders.
        judge: its name.
        pairs: how many pairs there are, and why some were not asked about.
        verdicts: how many pairs got which.
        tally: what was asked, the planted pairs included.
    """

    findings: tuple[Finding, ...]
    judge: str
    pairs: Mapping[str, int]
    verdicts: Mapping[str, int]
    tally: Tally

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the findings."""
        return {
            "judge": self.judge,
            "prompt_sha": prompt().sha,
            "pairs": dict(self.pairs),
            "verdicts": dict(self.verdicts),
            "asked": asdict(self.tally),
        }


def contradictions(constitution: Constitution, model: Judge, *, most: int = MOST) -> Contradictions:
    """Ask ``model`` which principles contradict each other; see :mod:`.candidates` for the pairs.

    Args:
        constitution: in which principles of the same and of neighbouring levels are compared.
        model: gives log-probs of options, or speaks.
        most: pairs asked about.

    Raises:
        ConfigError: the model can do neither.
        UserError: it fails on planted pairs; nothing else is asked then.
        Interrupted: the person asked to stop.
    """
    tally = Tally()
    check(model, tally)
    chosen = candidates(constitution, most)
    texts = {one.id: clause_of(one, constitution).written for one in constitution.active}
    said = heard(model, [(texts[a.id], texts[b.id]) for a, b in chosen.pairs], tally) if chosen.pairs else []
    found = [
        _finding(constitution, a, b, one, model.name, (texts[a.id], texts[b.id]))
        for (a, b), one in zip(chosen.pairs, said, strict=True)
        if one.verdict == "yes"
    ]
    by = Counter(one.verdict for one in said)
    verdicts: dict[str, int] = {name: by[name] for name in _VERDICTS}
    return Contradictions(tuple(found), model.name, chosen.counts, verdicts, tally)


def _finding(
    constitution: Constitution,
    first: Principle,
    second: Principle,
    one: Heard,
    judge: str,
    texts: tuple[str, str],
) -> Finding:
    decides = ""
    if first.level != second.level:
        higher = min(first, second, key=constitution.rank)
        decides = f"; {higher.id!r} has the higher level"
    message = (
        f"contradicts {first.id!r} on line {first.line}, says {judge} in both orders "
        f"({', then '.join(one.said)}){decides}"
    )
    return Finding(
        "warning",
        "contradiction",
        second.id,
        f"{constitution.path}:{second.line}",
        message,
        "say in one of them when the other wins, or write a conflict test",
        texts,
    )
