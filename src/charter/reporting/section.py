"""What a section of the page is: a reader of JSON, a template, and the variables between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from charter.reporting.node import Node

Found = TypeVar("Found")

FILES = ("consistency", "tax", "probes", "round_trip", "people")
"""Parts that may lie beside ``report.json`` as ``NAME.json``, as the commands that find them write them."""


@dataclass(frozen=True, slots=True)
class Source:
    """What sections read.

    Attributes:
        report: all of ``report.json``.
        files: what lay beside it, by name of :data:`FILES`.
    """

    report: Node
    files: Mapping[str, Node] = field(default_factory=dict)

    @property
    def adherence(self) -> Node:
        """The adherence card; it has to be there."""
        return self.report.must_child("adherence")

    @property
    def tests(self) -> Node:
        """Results of the constitution's tests; an empty object when missing."""
        return self.report.child("tests")

    def part(self, name: str) -> Node:
        """A part of :data:`FILES`: the file beside the report, else the report's key; empty when missing."""
        return self.files.get(name) or self.report.child(name)


@dataclass(frozen=True, slots=True)
class Setting:
    """What every section may need to know of the whole.

    Attributes:
        titles: of the principles, by id.
        interval: confidence level of the intervals, ``95%``.
        algorithm: that aligned the model; "" = not known.
        paired: a model before alignment was measured as well.
    """

    titles: Mapping[str, str]
    interval: str
    algorithm: str
    paired: bool

    def title(self, principle: str) -> str:
        """Its heading, or its id where it has none."""
        return self.titles.get(principle, principle)


@dataclass(frozen=True, slots=True)
class Section(Generic[Found]):
    """One section.

    Attributes:
        name: of its template, and of its place on the page.
        title: its heading.
        read: takes it from JSON and checks it; None = it is not there, and neither is the section.
        shown: variables of ``templates/sections/NAME.html.j2`` beside ``found`` and ``setting``.
        worth: whether there is anything to show of what was read.
    """

    name: str
    title: str
    read: Callable[[Source], Found | None]
    shown: Callable[[Found, Setting], Mapping[str, Any]] = field(default=lambda found, setting: {})
    worth: Callable[[Found], bool] = field(default=lambda found: True)
