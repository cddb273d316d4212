"""Logs of what people said: nothing damaged is passed over, and nothing written behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.errors import EnvironmentFault, UserError
from charter.kept_log import append_log_lines, read_log_lines


def test_lines_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert list(read_log_lines(path)) == []
    append_log_lines(path, [{"a": "\u00e4"}, 2])
    path.write_bytes(path.read_bytes() + b"\n  \n3")  # by hand: blank lines, no line break at the end
    append_log_lines(path, [4])
    assert list(read_log_lines(path)) == [
        (f"{path}:1", {"a": "\u00e4"}),
        (f"{path}:2", 2),
        (f"{path}:5", 3),
        (f"{path}:6", 4),
    ]


@pytest.mark.parametrize("damage", [b"{", b"\xff"])
def test_a_damaged_line_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"1\n" + damage + b"\n2\n")
    with pytest.raises(UserError, match="damaged line") as caught:
        list(read_log_lines(path))
    assert caught.value.where == f"{path}:2"


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="cannot read"):
        list(read_log_lines(tmp_path))
    with pytest.raises(EnvironmentFault, match="cannot write"):
        append_log_lines(tmp_path, [1])
