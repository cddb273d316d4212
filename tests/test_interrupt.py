from __future__ import annotations

import os
import signal
import threading

import pytest

from charter.errors import Interrupted, exit_code_of
from charter.interrupt import StopRequest, current, graceful


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(
    signum: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with graceful() as stop:
        assert not stop.requested
        stop.check()
        send(signum)
        assert stop.requested and stop.signum == signum
        assert "press again to stop at once" in capsys.readouterr().err
        with pytest.raises(Interrupted, match="stopped at 3") as stopped:
            stop.check("stopped at 3", fix="run again")
        assert stopped.value.fix == "run again"
        assert exit_code_of(stopped.value) == 128 + signum
        with pytest.raises(KeyboardInterrupt):
            send(signum)


def test_either_signal_counts_as_the_second() -> None:
    with graceful():
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_handlers_are_put_back_also_after_an_error() -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(RuntimeError), graceful():
        assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] != before
        raise RuntimeError
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    assert not current().requested


def test_nested_uses_share_the_outermost_request() -> None:
    with graceful() as outer:
        with graceful() as inner:
            assert inner is outer is current()
            send(signal.SIGINT)
        assert outer.requested
        assert current() is outer
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)  # the inner one did not put the default handler back


def test_a_new_use_starts_unasked() -> None:
    with graceful():
        send(signal.SIGINT)
    with graceful() as stop:
        assert not stop.requested


def test_nothing_listens_nothing_is_asked() -> None:
    assert not current().requested
    current().check()


def test_outside_the_main_thread_it_is_never_set() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[StopRequest] = []

    def work() -> None:
        with graceful() as stop:
            found.append(stop)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 1 and not found[0].requested
    assert signal.getsignal(signal.SIGINT) is before
