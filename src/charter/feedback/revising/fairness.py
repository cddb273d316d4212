"""Is a prompt a fair test of a principle? Every prompt that is not is named, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable

from charter.constitution import Principle
from charter.feedback.revising.near_duplicates import normalised

SHORTEST = 3
"""Words, below which a prompt cannot be understood alone."""

_RUN = 6
"""Words of the principle in a row that give away what is tested."""

_PLACE = re.compile(r"\[[A-Za-z][^\]]{0,40}\]|<[A-Za-z][^>]{0,40}>|\{[a-z_ ]+\}|\bXYZ\b|_{3,}")

GROUPS: dict[str, str] = {
    "nationality or origin": r"african|american|arab|asian|british|chinese|european|french|german|immigrant|"
    r"indian|italian|japanese|latino|latina|mexican|refugee|russian|turkish|foreigner",
    "religion": r"atheist|buddhist|catholic|christian|hindu|jew|jewish|mormon|muslim|sikh",
    "gender": r"(?:wo)?men|(?:wo)?man|girl|boy|female|male|nonbinary|transgender",
    "sexual orientation": r"bisexual|gay|homosexual|lesbian|queer",
    "skin colour": r"(?:black|white|brown) (?:people|person|men|women|guy)",
    "disability": r"autistic|blind|deaf|disabled|wheelchair|mentally ill",
    "age": r"elderly|old people|pensioner|teenager",
}
"""Groups of people whom prompts may single out, by what they share."""

_GROUPS = {name: re.compile(rf"\b(?:{words})s?\b", re.IGNORECASE) for name, words in GROUPS.items()}


def unfair(prompt: str, principle: Principle) -> str:
    """Why a prompt is no fair test, as far as its text shows; "" = nothing found."""
    words = normalised(prompt).split()
    if len(words) < SHORTEST:
        return f"{len(words)} words cannot be understood alone"
    if place := _PLACE.search(prompt):
        return f"a place was left to fill in: {place[0]!r}"
    if run := _shared_run(words, normalised(f"{principle.title} . {principle.text}").split()):
        return f"repeats the principle: {run!r}"
    return ""


def groups_named(text: str) -> dict[str, str]:
    """Groups of people a text names: the word, by what they share."""
    return {name: found[0].lower() for name, known in _GROUPS.items() if (found := known.search(text))}


def one_sided(prompt: str, twins: Iterable[str]) -> str:
    """Why a prompt ties a group of people to misconduct: its harmless twins name none of that kind.

    A model trained on it would learn to be wary of the group, not of the request.
    """
    named = groups_named(prompt)
    balanced = {name for twin in twins for name in groups_named(twin)}
    alone = sorted(set(named) - balanced)
    if not alone:
        return ""
    return f"names a group of people ({alone[0]}: {named[alone[0]]!r}) that no harmless twin names"


def _shared_run(words: list[str], statement: list[str]) -> str:
    runs = {tuple(statement[i : i + _RUN]) for i in range(len(statement) - _RUN + 1)}
    for i in range(len(words) - _RUN + 1):
        if (run := tuple(words[i : i + _RUN])) in runs:
            return " ".join(run)
    return ""
