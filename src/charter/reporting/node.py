"""Reading JSON of which some parts may be missing, but none may have the wrong type."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from charter.errors import UserError

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


class Node:
    """A JSON object with its place, so that an error says where.

    A key that is absent and a key that is null read the same: as missing.

    Args:
        value: the object, or None for a missing one.
        where: the file.
        path: keys from the top to here.
    """

    def __init__(self, value: Any, where: str, path: str = "") -> None:
        self.where, self.path = where, path
        if value is not None and not isinstance(value, dict):
            self._refuse(path or "report", "an object", value)
        self.value: dict[str, Any] = value or {}
        self.missing = value is None

    def text(self, key: str, default: str = "") -> str:
        """A string, made safe to show."""
        value = self.value.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self._refuse(self._at(key), "text", value)
        return printable(value)

    def words(self, key: str) -> str:
        """Text, or a number or flag written as text; '' when missing."""
        value = self.value.get(key)
        if value is None:
            return ""
        if isinstance(value, dict | list):
            self._refuse(self._at(key), "text or a number", value)
        return printable(value) if isinstance(value, str) else _plain(value)

    def number(self, key: str) -> float | None:
        """A finite number, or None."""
        value = self.value.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self._refuse(self._at(key), "a finite number", value)
        return float(value)

    def must_number(self, key: str) -> float:
        """A finite number that has to be there."""
        value = self.number(key)
        if value is None:
            self._refuse(self._at(key), "a number", None)
        return value

    def rate(self, key: str, *, lowest: float = 0.0) -> float:
        """A number that has to be there, in [lowest, 1]."""
        value = self.must_number(key)
        if not lowest <= value <= 1.0:
            self._refuse(self._at(key), f"a number from {lowest:g} to 1", value)
        return value

    def count(self, key: str) -> int | None:
        """A whole number of things, or None."""
        value = self.number(key)
        if value is not None and (value < 0 or value != int(value)):
            self._refuse(self._at(key), "a count", value)
        return None if value is None else int(value)

    def flag(self, key: str) -> bool | None:
        """True, False or None."""
        value = self.value.get(key)
        if value is not None and not isinstance(value, bool):
            self._refuse(self._at(key), "true or false", value)
        return value

    def child(self, key: str) -> Node:
        """An object; an empty one when missing."""
        return Node(self.value.get(key), self.where, self._at(key))

    def children(self, key: str) -> list[Node]:
        """A list of objects; none when missing."""
        return [item.must_child("") for item in self._each(key)]

    def must_child(self, key: str) -> Node:
        """An object that has to be there."""
        child = self.child(key)
        if child.missing:
            self._refuse(self._at(key), "an object", None)
        return child

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; none when missing."""
        return tuple(item.text("") for item in self._each(key))

    def numbers(self, key: str) -> tuple[float | None, ...]:
        """A list of numbers, in which null is a gap."""
        return tuple(item.number("") for item in self._each(key))

    def points(self, key: str) -> tuple[tuple[float, float], ...]:
        """A list of ``[step, value]`` pairs; none when missing."""
        pairs = []
        for number, item in enumerate(self._list(key)):
            if not isinstance(item, list) or len(item) != 2:
                self._refuse(f"{self._at(key)}[{number}]", "a pair of numbers", item)
            pair = Node({"step": item[0], "value": item[1]}, self.where, f"{self._at(key)}[{number}]")
            pairs.append((pair.must_number("step"), pair.must_number("value")))
        return tuple(pairs)

    def interval(self, key: str) -> tuple[float, float] | None:
        """A list of two numbers; None when missing."""
        if self.value.get(key) is None:
            return None
        ends = self.numbers(key)
        if len(ends) != 2 or ends[0] is None or ends[1] is None:
            self._refuse(self._at(key), "a pair of numbers", self.value[key])
        return ends[0], ends[1]

    def texts_by(self, key: str) -> dict[str, str]:
        """An object of texts; null texts are left out."""
        node = self.child(key)
        return {printable(name): node.text(name) for name, value in node.value.items() if value is not None}

    def counts(self, key: str) -> dict[str, int]:
        """An object of counts; null counts are left out."""
        node = self.child(key)
        found = {printable(name): node.count(name) for name in node.value}
        return {name: count for name, count in found.items() if count is not None}

    def flags(self, key: str) -> dict[str, bool | None]:
        """An object of flags, in which null stays."""
        node = self.child(key)
        return {printable(name): node.flag(name) for name in node.value}

    def items(self) -> Iterator[tuple[str, str]]:
        """Keys and values as text; nested values as compact JSON."""
        for name, value in self.value.items():
            yield printable(name), printable(value) if isinstance(value, str) else printable(_plain(value))

    def _each(self, key: str) -> list[Node]:
        return [
            Node({"": item}, self.where, f"{self._at(key)}[{number}]")
            for number, item in enumerate(self._list(key))
        ]

    def _list(self, key: str) -> Sequence[Any]:
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self._refuse(self._at(key), "a list", value)
        return value

    def _at(self, key: str) -> str:
        return ".".join(part for part in (self.path, key) if part)

    def _refuse(self, path: str, wanted: str, got: Any) -> NoReturn:
        shown = "nothing" if got is None else repr(got)
        raise UserError(
            f"{path} must be {wanted}, not {shown if len(shown) < 60 else shown[:57] + '...'}",
            where=self.where,
            fix="evaluate again to write it anew; the format is in charter/reporting/schema.md",
        )


def printable(text: str) -> str:
    """``text`` without what no page can hold: control characters and lone surrogates become U+FFFD."""
    whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", whole.replace("\r\n", "\n"))


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
