"""JSON Lines and JSON arrays, with the line and column of every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charter.data.rows import Collector
from charter.errors import DataError
from charter.strict_json import DECODER

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_json(path: Path, collector: Collector) -> None:
    """Read one object a line, or one array of objects (decided by the first character)."""
    with path.open("rb") as file:
        first = _first_byte(file.read(4096))
    if first == b"[" and path.suffix.lower() == ".json":
        _read_array(path, collector)
    else:
        _read_lines(path, collector)


def decode(raw: bytes, where: str, start: int = 0) -> str:
    """UTF-8 text of ``raw``, which begins ``start`` bytes into its file.

    Raises:
        DataError: with the byte offset of the first bad byte.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = "the file is UTF-16" if raw[:2] in _UTF16 else f"byte 0x{raw[error.start]:02x}"
        raise DataError(
            f"invalid UTF-8 at byte {start + error.start} of the file ({reason})",
            where=where,
            fix="save the file as UTF-8",
        ) from None


def without_bom(raw: bytes) -> bytes:
    """``raw`` without a leading byte order mark."""
    return raw.removeprefix(_BOM)


def _first_byte(head: bytes) -> bytes:
    return without_bom(head).lstrip()[:1]


def _read_lines(path: Path, collector: Collector) -> None:
    start = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            where = f"{path}:{number}"
            line = without_bom(raw) if number == 1 else raw
            if line.strip():
                try:
                    text = decode(line, where, start + len(raw) - len(line))
                    value = _parse(text.rstrip("\r\n"), where)
                except DataError as error:
                    collector.fail(error)
                else:
                    collector.add(value, where)
            start += len(raw)


def _read_array(path: Path, collector: Collector) -> None:
    raw = path.read_bytes()
    body = without_bom(raw)
    text = decode(body, str(path), len(raw) - len(body))
    for value, line in _items(text, str(path)):
        collector.add(value, f"{path}:{line}")


def _items(text: str, name: str) -> Iterator[tuple[Any, int]]:
    """The items of a JSON array and the line each starts on."""
    position = _skip_space(text, 0) + 1
    line, counted = 1, 0
    while True:
        position = _skip_space(text, position)
        line, counted = line + text.count("\n", counted, position), position
        if text[position : position + 1] == "]":
            _expect_end(text, position + 1, f"{name}:{line}")
            return
        value, position = _parse_at(text, position, name)
        yield value, line
        position = _skip_space(text, position)
        separator = text[position : position + 1]
        if separator == ",":
            position += 1
        elif separator != "]":
            line += text.count("\n", counted, position)
            raise DataError("expected ',' or ']' between rows", where=f"{name}:{line}")


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _expect_end(text: str, position: int, where: str) -> None:
    if text[position:].strip():
        raise DataError("text after the closing ']'", where=where, fix="one array a file")


def _parse(line: str, where: str) -> Any:
    try:
        return DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise DataError(f"malformed JSON at column {error.colno}: {error.msg}", where=where) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"malformed JSON: {error}", where=where) from None


def _parse_at(text: str, position: int, name: str) -> tuple[Any, int]:
    try:
        return DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        where = f"{name}:{error.lineno}"
        raise DataError(f"malformed JSON at column {error.colno}: {error.msg}", where=where) from None
    except (ValueError, RecursionError) as error:
        where = f"{name}:{text.count(chr(10), 0, position) + 1}"
        raise DataError(f"malformed JSON: {error}", where=where) from None
