"""JSON and JSON Lines from elsewhere, with the line of every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from charter.errors import ConstitutionError, did_you_mean
from charter.strict_json import DECODER


@dataclass(frozen=True, slots=True)
class Item:
    """A JSON object and the ``file:line`` it begins on."""

    values: dict[str, Any]
    where: str

    def text(self, key: str, *, required: bool = False) -> str:
        """The text at ``key`` without space around it; "" when it is missing, null or blank.

        Raises:
            ConstitutionError: it is something else, or ``required`` and missing or blank.
        """
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise ConstitutionError(f"{key!r} is not a text but {_kind(value)}", where=self.where)
        found = value.strip() if value else ""
        if required and not found:
            what = f"{key!r} is empty" if key in self.values else f"no {key!r}"
            raise ConstitutionError(what, where=self.where, fix=f'give "{key}": "..."')
        return found

    def items(self, key: str) -> list[Any]:
        """The list at ``key``; empty when it is missing or null.

        Raises:
            ConstitutionError: it is something else.
        """
        value = self.values.get(key)
        if value is not None and not isinstance(value, list):
            raise ConstitutionError(f"{key!r} is not a list but {_kind(value)}", where=self.where)
        return value or []

    def objects(self, key: str) -> list[Item]:
        """The objects in the list at ``key``; they say where by ``file:line, key N``.

        Raises:
            ConstitutionError: it is not a list of objects.
        """
        return [
            as_item(value, f"{self.where}, {key} {number}")
            for number, value in enumerate(self.items(key), start=1)
        ]

    def one_of(self, key: str, known: tuple[str, ...]) -> str:
        """The word at ``key`` in lower case; "" when it is missing.

        Raises:
            ConstitutionError: it is not one of ``known``.
        """
        word = self.text(key).lower()
        if word and word not in known:
            raise ConstitutionError(
                f"unknown {key} {word!r}", where=self.where, fix=did_you_mean(word, known)
            )
        return word


def as_item(value: Any, where: str) -> Item:
    """``value`` as an object.

    Raises:
        ConstitutionError: it is none.
    """
    if not isinstance(value, dict):
        raise ConstitutionError(f"expected an object, found {_kind(value)}", where=where)
    return Item(value, where)


def looks_like_json(text: str) -> bool:
    """Does ``text`` begin as a JSON value does, and not as a Markdown link or list does?"""
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start not in ("{", "[", '"'):
        return False
    try:
        DECODER.raw_decode(text.lstrip("\ufeff \t\r\n"))
    except (ValueError, RecursionError):
        return start == "{" or text.lstrip("\ufeff \t\r\n[")[:1] in ('"', "{")
    return True


def read_value(text: str, path: str) -> Any:
    """One JSON value.

    Raises:
        ConstitutionError: it is none, at the line of the fault.
    """
    text = text.removeprefix("\ufeff")
    value, end = _decode(text, _skip_space(text, 0), path)
    if text[end:].strip():
        line = _line(text, _skip_space(text, end))
        raise ConstitutionError("text after the end of the JSON value", where=f"{path}:{line}")
    return value


def read_objects(text: str, path: str) -> list[Item]:
    """The objects of JSON Lines, or of one JSON array.

    Raises:
        ConstitutionError: a line that is no JSON object, at its line; no object at all.
    """
    text = text.removeprefix("\ufeff")
    found = _array(text, path) if text.lstrip()[:1] == "[" else _lines(text, path)
    if not found:
        raise ConstitutionError("holds nothing", where=path, fix="give a file with at least one object")
    return found


def _lines(text: str, path: str) -> list[Item]:
    items = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            value, end = _decode(line.strip(), 0, path, number)
            if line.strip()[end:].strip():
                raise ConstitutionError("text after the JSON object", where=where, fix="one object a line")
            items.append(as_item(value, where))
    return items


def _array(text: str, path: str) -> list[Item]:
    items: list[Item] = []
    position = _skip_space(text, _skip_space(text, 0) + 1)
    while text[position : position + 1] != "]":
        where = f"{path}:{_line(text, position)}"
        value, position = _decode(text, position, path)
        items.append(as_item(value, where))
        position = _skip_space(text, position)
        if text[position : position + 1] == ",":
            position = _skip_space(text, position + 1)
        elif text[position : position + 1] != "]":
            line = _line(text, position)
            raise ConstitutionError("expected ',' or ']' between objects", where=f"{path}:{line}")
    if text[position + 1 :].strip():
        raise ConstitutionError("text after the closing ']'", where=f"{path}:{_line(text, position)}")
    return items


def _decode(text: str, position: int, path: str, line: int = 0) -> tuple[Any, int]:
    """The value at ``position`` and where it ends; ``line`` = 0 counts lines in ``text``."""
    try:
        value, end = DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        where = f"{path}:{line or error.lineno}"
        raise ConstitutionError(f"malformed JSON at column {error.colno}: {error.msg}", where=where) from None
    except (ValueError, RecursionError) as error:
        where = f"{path}:{line or _line(text, position)}"
        raise ConstitutionError(f"malformed JSON: {error}", where=where) from None
    _storable(text[position:end], value, f"{path}:{line or _line(text, position)}")
    return value, end


def _storable(raw: str, value: Any, where: str) -> None:
    """Half of a surrogate pair cannot be saved as UTF-8, and a NUL cannot be tokenised."""
    if "\\u" not in raw:
        return
    for text in _texts(value):
        if "\x00" in text:
            raise ConstitutionError("a text holds a NUL character", where=where, fix="remove it")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ConstitutionError("a text holds a lone surrogate", where=where, fix="remove it") from None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")
