from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from charter import rundir
from charter.errors import CharterError, EnvironmentFault, UserError, exit_code_of
from charter.rundir import (
    HOLDER,
    LOCK,
    RunDir,
    append_jsonl,
    read_jsonl,
    sha256_file,
    sha256_json,
    write_json,
    write_jsonl,
    write_text,
)

HOLD = """
import sys
from charter.rundir import RunDir
with RunDir(sys.argv[1]).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


# -- the directory ---------------------------------------------------------------------------


def test_is_made_with_its_parents(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a" / "b")
    assert run.path.is_dir() and list(run.path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "run", "deep/run"])
def test_a_path_that_cannot_be_written(tmp_path: Path, below: str) -> None:
    """Under a file nobody can write, root included."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written") as caught:
        RunDir(tmp_path / "file" / below)
    assert exit_code_of(caught.value) == 2 and caught.value.fix
    assert str(tmp_path / "file") in str(caught.value)


def test_stages_are_numbered_folders(tmp_path: Path) -> None:
    stage = RunDir(tmp_path).stage(2, "judge")
    assert stage == tmp_path / "stages" / "2-judge" and stage.is_dir()
    assert RunDir(tmp_path).stage(2, "judge") == stage


# -- the lock ----------------------------------------------------------------------------------


def test_a_live_process_keeps_others_out(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(UserError, match=f"in use by process {holder.pid}") as caught, RunDir(tmp_path).lock():
        pytest.fail("the lock was given twice")
    assert caught.value.fix
    assert holder.poll() is None and (tmp_path / LOCK).exists()


def test_the_lock_of_a_killed_process_is_cleared(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).exists()
    with RunDir(tmp_path).lock():
        assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"host": "h"}'])
def test_a_damaged_lock_is_cleared(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK).write_text(text)
    with RunDir(tmp_path).lock():
        pass


def test_the_same_process_cannot_lock_twice(tmp_path: Path) -> None:
    with RunDir(tmp_path).lock(), pytest.raises(UserError, match="in use"), RunDir(tmp_path).lock():
        pass


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunDir(tmp_path).lock():
        _ = 1 / 0
    with RunDir(tmp_path).lock():
        pass


def test_a_refused_lock_is_not_given_back(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):
        with pytest.raises(UserError), RunDir(tmp_path).lock():
            pass
    assert json.loads((tmp_path / HOLDER).read_text())["pid"] == holder.pid


# -- atomic files --------------------------------------------------------------------------------


def full_disk(*_args: Any, **_kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    "write", [lambda p: write_text(p, "new"), lambda p: write_json(p, [1]), lambda p: write_jsonl(p, [1])]
)
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, write: Callable[[Path], None]
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    monkeypatch.setattr(rundir.os, step, full_disk)
    with pytest.raises(EnvironmentFault, match="No space left") as caught:
        write(path)
    assert caught.value.where == str(path) and exit_code_of(caught.value) == 3
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_while_appending(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with pytest.raises(EnvironmentFault, match="No space left"):
        append_jsonl(Path("/dev/full"), {"step": 1})


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="No such file"):
        write_text(tmp_path / "gone" / "x", "x")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_json_lacks_are_refused(tmp_path: Path, number: float) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    for write in (write_json, append_jsonl):
        with pytest.raises((CharterError, ValueError)):
            write(path, {"loss": number})
    with pytest.raises((CharterError, ValueError)):
        write_jsonl(path, [{"loss": number}])
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = [{"text": "naïve ☃\u2028\n"}, {"x": [1, 2.5, None, True]}]
    write_jsonl(tmp_path / "a.jsonl", rows[:1])
    append_jsonl(tmp_path / "a.jsonl", rows[1])
    assert read_jsonl(tmp_path / "a.jsonl") == rows
    assert "☃" in (tmp_path / "a.jsonl").read_text(encoding="utf-8")


# -- torn and damaged lines ---------------------------------------------------------------------


def torn(path: Path, cut: int) -> Path:
    """Three rows, with the last ``cut`` bytes lost."""
    write_jsonl(path, [{"step": 1}, {"step": 2}, {"step": 3, "note": "☃"}])
    path.write_bytes(path.read_bytes()[:-cut])
    return path


LAST = len('{"step": 3, "note": "☃"}\n'.encode())


@pytest.mark.parametrize("cut", range(2, LAST + 1))
def test_a_torn_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    """However it was torn, inside a character too."""
    assert read_jsonl(torn(tmp_path / "m.jsonl", cut)) == [{"step": 1}, {"step": 2}]


def test_a_last_line_that_lacks_only_its_end_counts(tmp_path: Path) -> None:
    assert len(read_jsonl(torn(tmp_path / "m.jsonl", 1))) == 3


@pytest.mark.parametrize("cut", [2, 5, 9, LAST])
def test_appending_to_a_torn_file_loses_no_other_row(tmp_path: Path, cut: int) -> None:
    path = torn(tmp_path / "m.jsonl", cut)
    append_jsonl(path, {"step": 4})
    append_jsonl(path, {"step": 5})
    assert [row["step"] for row in read_jsonl(path)] == [1, 2, 4, 5]


def test_damage_elsewhere_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"step": \n{"step": 3}\n')
    with pytest.raises(UserError, match="damaged line") as caught:
        read_jsonl(path)
    assert caught.value.where == f"{path}:2"


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert read_jsonl(tmp_path / "none.jsonl") == []


# -- the manifest and hashes ---------------------------------------------------------------------


def test_manifest_says_what_made_the_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert run.manifest() == {}
    run.update_manifest(seed=1)
    first = run.manifest()
    assert first["seed"] == 1 and first["versions"]["torch"] and first["created"].endswith("Z")
    assert socket.gethostname() not in json.dumps(first["machine"])
    run.update_manifest(seed=2, model="m")
    assert run.manifest() == {**first, "seed": 2, "model": "m"}


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 1_000_000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_sha256_of_a_value_ignores_only_key_order() -> None:
    assert sha256_json({"a": 1, "b": [1, 2]}) == sha256_json({"b": [1, 2], "a": 1})
    assert len({sha256_json(v) for v in ({"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": [1]}, {"b": 1})}) == 5
