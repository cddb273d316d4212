"""Events of people using a model (thumbs, regenerate, edit, copy, abandon) as labels, by stated rules.

An event is a row: ``event``, ``user`` (or ``session``), ``prompt``, ``answer`` (or ``response``); ``edited``
is the text a person made of it, ``other`` the answer beside it; ``model``, ``at``, ``id``. Labels are written
with the weakest rule first, so that of several of one person on one answer the strongest is the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.data.columns import content, require
from charter.data.public.parts import asked, filled, item_of
from charter.data.rows import Row, Rows
from charter.errors import DataError, did_you_mean
from charter.feedback.label_io.implicit_rules import Rule
from charter.feedback.label_io.imported import Collector
from charter.feedback.label_io.pseudonym import pseudonym

_TEXTS = ("answer", "response", "completion")


def fits(values: Mapping[str, Any]) -> bool:
    """Whether a row is an event."""
    return "event" in values and any(name in values for name in _TEXTS)


def read(rows: Rows, found: Collector, rules: Mapping[str, Rule]) -> None:
    """Hand every event that a rule speaks of to ``found``."""
    made: list[tuple[float, str, dict[str, Any]]] = []

    def event_of(row: Row) -> None:
        event = filled(row, "event")
        if event not in rules:
            found.skip(row.source, f"no rule for the event {event!r}: {did_you_mean(event, rules)}")
        elif rules[event].as_ == "ignore":
            found.skip(row.source, f"the rules ignore {event!r}")
        else:
            made.append((rules[event].weight, row.source, _label(row, event, rules[event])))

    found.each(rows, event_of)
    for _, where, values in sorted(made, key=lambda one: one[0]):
        found.add(where, **values)
    for event, rule in rules.items():
        count = sum(values["meta"]["event"] == event for _, _, values in made)
        if count:
            found.note(
                f"{count} x {event}: {_in_words(rule)}, weight {rule.weight:g}, assuming {rule.assumes}"
            )


def _label(row: Row, event: str, rule: Rule) -> dict[str, Any]:
    prompt = content(row, "prompt")
    name, _ = require(row, *_TEXTS)
    answer = filled(row, name)
    who = row.values.get("user", row.values.get("session"))
    if who in (None, ""):
        raise DataError("an event of nobody: no 'user' and no 'session'", where=row.source)
    line = row.source.rpartition(":")[2]
    answers, said = _said(row, event, rule, answer)
    model = str(row.values.get("model") or "")
    kept = {k: v for k, v in row.values.items() if k not in _READ and v is not None}
    return {
        "id": str(row.values.get("id") or f"event-{line}"),
        "item": item_of(asked(prompt), *answers),
        "rater": pseudonym(who, "user"),
        "source": "implicit",
        "prompt": prompt,
        "answers": answers,
        "models": (model,) if model and len(answers) == 1 else (),
        "at": str(row.values.get("at") or row.values.get("timestamp") or ""),
        "meta": {
            **kept,
            "event": event,
            "rule": f"{event}: {_in_words(rule)}",
            "weight": rule.weight,
            "assumes": rule.assumes,
        },
        **said,
    }


_READ = frozenset({"event", "user", "session", "prompt", *_TEXTS, "edited", "other", "id", "at", "timestamp"})


def _said(row: Row, event: str, rule: Rule, answer: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    if rule.as_ == "rating":
        return (answer,), {"kind": "rating", "value": rule.value, "scale": rule.on}
    if rule.as_ == "pair":
        other = filled(row, "other")
        if other == answer:
            raise DataError(f"{event}: both answers are the same", where=row.source)
        return (answer, other), {"kind": "pair", "value": -1}
    edited = filled(row, "edited")
    if edited.strip() == answer.strip():
        raise DataError(f"{event}: the edited text is the answer itself", where=row.source)
    return (answer,), {"kind": "revision", "value": edited}


def _in_words(rule: Rule) -> str:
    if rule.as_ == "rating":
        return f"a rating of {rule.value:g}"
    return "the other answer is better" if rule.as_ == "pair" else "a revision"
