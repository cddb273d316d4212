"""Does an answer say the expected text? Whole words, any case, numbers by their value, not if denied.

``4`` is not found in ``14`` or ``4.5``, and ``1000`` is found in ``1,000``. An occurrence that is denied
does not count: "not Canberra", "rather than Canberra", "Canberra is not the capital". What is denied in
other words is counted as said; a judge reads better.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from charter.evaluation.suite.reading.opening import shown

BY = "heuristic: the expected text stands in the answer"

_NUMBER = re.compile(r"(?<![\w.,])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?![\w]|[.,]\d)")
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|nor|rather\s+than|instead\s+of|no\s+longer|neither)|n't)\s+(?:(?:be|really|actually|in|at|on|"
    r"the|a|an|just|called|city\s+of)\s+){0,3}[\"'(]?\Z",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"\A[\"')]?\s+(?:is|was|are|were|isn't|wasn't|aren't|weren't|would\s+be|seems)\s+(?:(?:actually|in\s+fact)\s+)?"
    r"(?:not\b|wrong\b|incorrect\b|false\b|a\s+mistake\b)"
    r"|\A[\"')]?\s+(?:isn't|wasn't|aren't|weren't)\b",
    re.IGNORECASE,
)


def says(text: str, expected: str) -> bool:
    """Whether ``text`` says ``expected`` at least once without denying it."""
    read = shown(text)
    return any(
        not _denied(read, start, end) for start, end in _places(read, " ".join(shown(expected).split()))
    )


def mentions(text: str, expected: str) -> bool:
    """Whether ``expected`` stands in ``text`` at all, denied or not."""
    return bool(_places(shown(text), shown(expected)))


def _places(text: str, expected: str) -> list[tuple[int, int]]:
    value = _value(expected)
    if value is not None:
        return [m.span() for m in _NUMBER.finditer(text) if m[0] and _value(m[0]) == value]
    words = r"\s+".join(re.escape(word) for word in expected.split())
    return [m.span() for m in re.finditer(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE)] if words else []


def _denied(text: str, start: int, end: int) -> bool:
    return bool(_DENIED_BEFORE.search(text[:start]) or _DENIED_AFTER.search(text[end:]))


def _value(text: str) -> Decimal | None:
    """The number that ``text`` is, or None."""
    try:
        found = Decimal(text.replace(",", ""))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
