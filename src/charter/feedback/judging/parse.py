"""Strict reading of a judge's replies: what is not exactly a verdict is none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from charter.feedback.judging.view import visible

Word = Literal["yes", "no", "na", "unsure"]
"""Verdicts a judge may give in words."""

Side = Literal["a", "b", "tie", "na", "unsure"]
"""Verdicts on two answers."""

_COMMON: dict[str, str] = {"na": "na", "n/a": "na", "not applicable": "na", "unsure": "unsure"}
WORDS: Mapping[str, Word] = {"yes": "yes", "no": "no", **_COMMON}  # type: ignore[dict-item]
"""Spellings of :data:`Word`."""

SIDES: Mapping[str, Side] = {
    "a": "a",
    "b": "b",
    "answer a": "a",
    "answer b": "b",
    "tie": "tie",
    **_COMMON,  # type: ignore[dict-item]
}
"""Spellings of :data:`Side`."""

_AROUND = " \t\r\n*_`\"'.!"
_LINE = re.compile(r"[\s*_>#-]*verdict[\s*_]*:(.*)", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)
_SHOWN = 80


class Unclear(ValueError):
    """A reply that is no verdict; says why."""


def word(text: str, words: Mapping[str, Any] = WORDS) -> Any:
    """The verdict that the whole reply is.

    Raises:
        Unclear: it is anything else, a verdict among other words included.
    """
    said = _bare(visible(text))
    if said not in words:
        raise Unclear(f"expected {_one_of(words)}, got {shown(text)}")
    return words[said]


def last_line(text: str) -> tuple[Word, str]:
    """The verdict on the last line of a reply that gives reasons first, and the reasons.

    Raises:
        Unclear: the last line is no verdict, or another line gives a different one.
    """
    lines = [line for line in visible(text).splitlines() if line.strip()]
    given = [match[1] for line in lines if (match := _LINE.fullmatch(line.strip()))]
    if not lines or not _LINE.fullmatch(lines[-1].strip()):
        raise Unclear(f"the last line is no verdict: {shown(lines[-1] if lines else text)}")
    verdicts = [WORDS.get(_bare(one)) for one in given]
    last = verdicts[-1]
    if last is None:
        raise Unclear(f"expected {_one_of(WORDS)} after 'Verdict:', got {shown(given[-1])}")
    if any(one != last for one in verdicts):
        raise Unclear("several verdicts that differ")
    return last, "\n".join(lines[: -len(given)] if len(given) == 1 else lines[:-1]).strip()


def rating(text: str, scale: int) -> int | Literal["na", "unsure"]:
    """The rating, 1 to ``scale``, that the whole reply is.

    Raises:
        Unclear: it is anything else, or off the scale.
    """
    said = _bare(visible(text))
    if said in _COMMON:
        return "na" if _COMMON[said] == "na" else "unsure"
    found = re.fullmatch(rf"(?:rating\s*:\s*)?([0-9]{{1,3}})(?:\s*/\s*{scale})?", said)
    if found is None:
        raise Unclear(f"expected a rating from 1 to {scale}, got {shown(text)}")
    if not 1 <= int(found[1]) <= scale:
        raise Unclear(f"the rating {int(found[1])} is not on the scale from 1 to {scale}")
    return int(found[1])


def verdicts(text: str, keys: Sequence[str]) -> dict[str, Word | Unclear]:
    """A verdict for each of ``keys``, from a reply that is one JSON object; each may be unclear by itself.

    Raises:
        Unclear: the reply is no JSON object, or has a key twice or one that was not asked for: then
            nothing says which principle a value is about.
    """
    said = visible(text).strip()
    fenced = _FENCE.fullmatch(said)
    try:
        found = json.loads(fenced[1] if fenced else said, object_pairs_hook=_once)
    except (json.JSONDecodeError, RecursionError):
        raise Unclear(f"expected one JSON object, got {shown(text)}") from None
    if not isinstance(found, dict):
        raise Unclear(f"expected one JSON object, got {shown(text)}")
    if unknown := sorted(set(found) - set(keys)):
        raise Unclear(f"a verdict for {unknown[0]!r}, which was not asked for")
    return {key: _value(found, key) for key in keys}


def shown(text: str) -> str:
    """The beginning of a reply, for reasons."""
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…")


def _value(found: Mapping[str, Any], key: str) -> Word | Unclear:
    if key not in found:
        return Unclear("the reply leaves this principle out")
    value = found[key]
    said = WORDS.get(_bare(value)) if isinstance(value, str) else None
    return said or Unclear(f"expected {_one_of(WORDS)}, got {shown(str(value))}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unclear("the reply has a key twice")
    return found


def _bare(text: str) -> str:
    return " ".join(text.strip(_AROUND).casefold().split())


def _one_of(words: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in words.values()))
