"""The loss of an algorithm as its code states it: docstrings of objectives and of what they name."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

from charter.catalogue import Entry, TrainOptions
from charter.training.terms import by_name, terms_of

NEEDED: dict[str, tuple[str, Any]] = {
    "ptx_data": ("text.jsonl", "text.jsonl"),
    "reward_thresholds": ("0.5", (0.5,)),
}
"""What stands for options without a default, on the command line and as a value."""


def default_options(entry: Entry) -> TrainOptions:
    """The entry's options at their defaults."""
    fields = entry.options.model_fields
    return entry.options(**{name: NEEDED[name][1] for name in fields if fields[name].is_required()})


def losses(entry: Entry) -> Iterator[tuple[str, str]]:
    """``(title, Markdown)`` of what states the entry's loss, then of the objectives that apply it.

    What an option adds that is off by default comes last: its title says which option.
    """
    options = default_options(entry)
    objectives = [term.objective for term in terms_of(entry, options)]
    shown: list[Any] = []
    for objective in objectives:
        _add(shown, *getattr(objective, "stated_by", tuple)(), *named(type(objective)))
    _add(shown, *(type(objective) for objective in objectives))
    for thing in shown:
        yield f"`{thing.__name__}`", statement(thing)
    for weight, objective in _off(entry, options):
        if objective not in shown:
            yield f"`{objective.__name__}`, with `{weight}`", statement(objective)


def _off(entry: Entry, options: TrainOptions) -> Iterator[tuple[str, Any]]:
    """Options that weigh a term and are off, with what they would add."""
    for term in entry.terms:
        if isinstance(term.weight, str) and not getattr(options, term.weight):
            yield term.weight, by_name(term.objective)


def _add(shown: list[Any], *things: Any) -> None:
    """Each thing once, then what it names."""
    for thing in things:
        if thing not in shown:
            shown.append(thing)
            _add(shown, *named(thing))


def named(thing: Any) -> Iterator[Any]:
    """The functions that the shown part of a docstring names, in its module or by their dotted names."""
    for name in re.findall(r":func:`~?([\w.]+)`", _shown_part(thing)):
        found = _resolved(thing.__module__, name)
        if found is not None:
            yield found


def _resolved(module: str, name: str) -> Any:
    """What ``name`` stands for in a docstring of ``module``; None for another package's."""
    where, _, last = name.rpartition(".")
    if where and not where.startswith("charter."):
        return None
    found = getattr(importlib.import_module(where) if where else sys.modules[module], last, None)
    if found is None:
        raise ValueError(f"a docstring of {module} names {name}, and there is none")
    return found


def statement(thing: Any) -> str:
    """Its docstring without how to call it, as Markdown."""
    return markdown(_shown_part(thing))


def summary(thing: Any) -> str:
    """The first paragraph of its docstring on one line, as Markdown."""
    return markdown(" ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()))


def _shown_part(thing: Any) -> str:
    text = inspect.getdoc(thing) or ""
    return re.split(r"\n(?:Args|Returns|Raises|Attributes):\n", text)[0].strip()


def markdown(text: str) -> str:
    """A docstring's reStructuredText as Markdown."""
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda found: f"`{found.group(1).rsplit('.', 1)[-1]}`", text)
    return text.replace("``", "`")
