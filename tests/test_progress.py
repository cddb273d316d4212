from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from rich.console import Console

from charter import progress as module
from charter.progress import progress, say


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    out = io.StringIO()
    monkeypatch.setattr(module, "console", Console(file=out, force_terminal=True, width=120))
    yield out


def test_lines_with_an_estimate_where_there_is_no_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("train", 10) as advance:
        for _ in range(10):
            clock.now += 6
            advance(1, note="loss 0.5")
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "train: 3/10  18 s, about 42 s left  loss 0.5",
        "train: 6/10  36 s, about 24 s left  loss 0.5",
        "train: 9/10  54 s, about 6 s left  loss 0.5",
        "train: 10/10  60 s, about 0 s left  loss 0.5",
    ]
    assert captured.out == ""


def test_the_first_of_many_say_nothing_of_the_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("sample", 1200) as advance:
        clock.now += 30
        advance(2)
        clock.now += 30
        advance(298)
    assert capsys.readouterr().err.splitlines() == [
        "sample: 2/1200  30 s",
        "sample: 300/1200  60 s, about 180 s left",
    ]


def test_what_was_done_before_does_not_make_it_look_fast(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("train", 100, done=90) as advance:
        clock.now += 20
        advance(2)
    assert capsys.readouterr().err == "train: 92/100  20 s, about 80 s left\n"


def test_a_short_task_says_one_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("sample", 5) as advance:
        for _ in range(5):
            advance()
    assert capsys.readouterr().err == "sample: 5/5  0 s, about 0 s left\n"


def test_nothing_done_yet_divides_by_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reference", 5) as advance:
        clock.now += 16
        advance(0)
    assert capsys.readouterr().err.startswith("reference: 0/5")


def test_among_plain_lines_work_within_work_says_nothing(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("revisions", 2) as advance:
        for _ in range(2):
            with progress("judge", 3) as inner:
                inner(3)
            advance()
    with progress("train", 1) as advance:
        advance()
    said = capsys.readouterr().err.splitlines()
    assert said == ["revisions: 2/2  0 s, about 0 s left", "train: 1/1  0 s, about 0 s left"]


def test_a_bar_on_a_terminal(terminal: io.StringIO) -> None:
    with progress("train", 4, done=1) as advance:
        advance(1, note="loss 0.25")
        advance(2)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "train" in shown and "4/4" in shown and "left" in shown and "loss 0.25" in shown


def test_an_error_inside_gets_out(clock: Clock, terminal: io.StringIO) -> None:
    with pytest.raises(KeyError), progress("train", 4):
        raise KeyError


def test_say_writes_to_stderr_and_reads_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say("kept [bold]3[/bold] of 4 " + "x" * 200)
    captured = capsys.readouterr()
    assert captured.err == "kept [bold]3[/bold] of 4 " + "x" * 200 + "\n"
    assert captured.out == ""
