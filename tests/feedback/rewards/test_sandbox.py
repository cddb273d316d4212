from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from reward_rollouts import group, write

from charter.errors import ConfigError
from charter.feedback.rewards import open_rewards
from charter.feedback.rewards.sandbox import Error, Graded, Isolation, Killed, Sandbox, graded

CODE = """
import ctypes, os, socket, sys, threading, time
STATE = []
def grade(what, port=0, folder=""):
    print("said before")
    return globals()[what](port, folder)
def fine(port, folder): return {"value": 1.5, "pid": os.getpid()}
def loop(port, folder):
    while True: pass
def sleep(port, folder):
    import signal
    for one in (signal.SIGTERM, signal.SIGINT): signal.signal(one, signal.SIG_IGN)
    time.sleep(1000)
def thread(port, folder):
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return 1
def forks(port, folder):
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
    return 1
def many(port, folder):
    for _ in range(40):
        if os.fork() == 0: time.sleep(1000)
    time.sleep(1000)
def memory(port, folder): return len(bytearray(10**10))
def slowly(port, folder):
    held = []
    while True: held.append("x" * 1000000)
def output(port, folder):
    while True: print("x" * 100000)
def answer(port, folder): return "x" * 10**7
def leave(port, folder): os._exit(3)
def leave_well(port, folder): sys.exit(0)
def die(port, folder): ctypes.string_at(0)
def fail(port, folder): raise KeyError("x")
def strange(port, folder): return object()
def connect(port, folder):
    with socket.create_connection(("127.0.0.1", port), timeout=1): return "connected"
def connect_in_c(port, folder):
    made = socket.socket()
    address = b"\\x02\\x00" + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    return ctypes.CDLL(None).connect(made.fileno(), address, 16)
def write(port, folder):
    with open(folder + "/written", "w") as file: file.write("x")
    return "written"
def scratch(port, folder):
    with open("mine", "w") as file: file.write("x")
    return sorted(os.listdir("."))
def patch(port, folder):
    STATE.append(1)
    globals()["fine"] = None
    return len(STATE)
def secret(port, folder): return dict(os.environ)
def rights(port, folder):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith("CapEff"))
async def later(what): return what
"""
SECONDS = 2.0


@pytest.fixture(scope="module", params=["auto", "guard"])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("grader")
    write(folder, CODE, "grader.py")
    isolation: Isolation = request.param
    made = Sandbox(
        "grader.py:grade", base=folder, seconds=SECONDS, memory_mb=200, workers=1, isolation=isolation
    )
    yield made
    made.close()


def children() -> set[str]:
    """Command lines of processes that a sandbox started and that live."""
    found = set()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                line = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if b"sandbox_child.py" in line:
                found.add(place.name)
    return found


def test_it_says_what_is_in_effect(box: Sandbox) -> None:
    assert box.effect.network in ("network namespace", "socket guard")
    if box._setup["isolation"] == "guard":
        assert box.effect.network == "socket guard" and box.effect.processes == "session"


def test_a_value_and_what_was_printed(box: Sandbox) -> None:
    (found,) = box.grade([{"what": "fine"}])
    assert isinstance(found, Graded) and found.value["value"] == 1.5 and found.output == "said before\n"


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("loop", "time limit"),
        ("sleep", "time limit"),
        ("many", "process limit"),
        ("memory", "memory limit"),
        ("slowly", "memory limit"),
        ("output", "output limit"),
        ("answer", "answer limit"),
        ("die", "signal"),
    ],
)
def test_limits_kill(box: Sandbox, what: str, kind: str) -> None:
    before = children()
    start = time.monotonic()
    (found,) = box.grade([{"what": what}])
    assert isinstance(found, Killed) and found.kind == kind
    assert time.monotonic() - start < SECONDS + 2
    assert children() == before  # nothing that it started is left
    (after,) = box.grade([{"what": "fine"}])
    assert isinstance(after, Graded)


@pytest.mark.parametrize(
    ("what", "kind", "detail"),
    [
        ("leave", "no answer", "status 3"),
        ("leave_well", "SystemExit", "0"),
        ("fail", "KeyError", "'x' (grader.py:"),
        ("strange", "TypeError", "cannot be handed back"),
        ("nowhere", "KeyError", "nowhere"),
    ],
)
def test_failures_are_errors_with_their_reason(box: Sandbox, what: str, kind: str, detail: str) -> None:
    (found,) = box.grade([{"what": what}])
    assert isinstance(found, Error) and found.kind == kind and detail in found.detail


@pytest.mark.parametrize("what", ["forks", "thread"])
def test_what_a_grade_leaves_behind_is_killed(box: Sandbox, what: str) -> None:
    before = children()
    start = time.monotonic()
    (found,) = box.grade([{"what": what}])
    assert isinstance(found, Graded) and found.value == 1
    assert time.monotonic() - start < SECONDS
    assert children() == before


def test_no_network(box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = box.grade([{"what": "connect", "port": port}])
        assert isinstance(found, Error)
        (in_c,) = box.grade([{"what": "connect_in_c", "port": port}])
        assert isinstance(in_c, Graded)
        # Without a namespace only Python's sockets are refused; the effect says so.
        assert in_c.value == (-1 if box.effect.network == "network namespace" else 0)


def test_files_outside_of_the_scratch_folder(box: Sandbox, tmp_path: Path) -> None:
    (found,) = box.grade([{"what": "write", "folder": str(tmp_path)}])
    if box.effect.files == "own permissions":
        assert isinstance(found, Graded)
    else:
        assert isinstance(found, Error) and "Read-only" in found.detail
        assert not (tmp_path / "written").exists()
    for _ in range(2):  # the folder is new each time
        (mine,) = box.grade([{"what": "scratch"}])
        assert isinstance(mine, Graded) and mine.value == ["mine", "output"]


def test_what_a_grade_changes_is_gone_for_the_next(box: Sandbox) -> None:
    found = box.grade([{"what": "patch"}, {"what": "patch"}, {"what": "fine"}])
    assert [one.value for one in found[:2] if isinstance(one, Graded)] == [1, 1]
    assert isinstance(found[2], Graded)


def test_the_parents_variables_and_rights_are_not_given(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = box.grade([{"what": "secret"}])
    assert isinstance(found, Graded)
    assert set(found.value) <= {"PATH", "HOME", "TMPDIR", "LANG", "OMP_NUM_THREADS", "LC_CTYPE"}
    (rights,) = box.grade([{"what": "rights"}])
    assert isinstance(rights, Graded) and int(rights.value, 16) == 0


def test_arguments_must_be_plain_data(box: Sandbox) -> None:
    found = box.grade([{"what": object()}, {"what": "fine"}])
    assert isinstance(found[0], Error) and found[0].kind == "not plain data"
    assert isinstance(found[1], Graded)


def test_a_lost_worker_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, "import os, signal\ndef f(x):\n    return x\n")
    box = Sandbox("mine.py:f", base=tmp_path, workers=1)
    worker = box._free.get()
    assert worker is not None
    worker._process.kill()
    worker._process.wait()
    box._free.put(worker)
    first, second = box.grade([{"x": 1}, {"x": 2}])
    assert isinstance(first, Error) and first.kind == "worker lost"
    assert second == Graded(2)
    box.close()


def test_a_target_that_does_not_load(tmp_path: Path) -> None:
    write(tmp_path, "raise ValueError('broken')\ndef f(): pass\n")
    before = children()
    with pytest.raises(ConfigError, match="ValueError: broken"):
        Sandbox("mine.py:f", base=tmp_path)
    with pytest.raises(ConfigError, match="limits must be positive"):
        Sandbox("mine.py:f", base=tmp_path, seconds=0)
    assert children() == before


def test_one_call(tmp_path: Path) -> None:
    write(tmp_path, "import time\ndef f(x): return x + 1\ndef g(): time.sleep(60)\n")
    assert graded("mine.py:f", {"x": 1}, base=tmp_path) == Graded(2)
    assert graded("mine.py:f", {"x": 2}, base=tmp_path) == Graded(3)
    found = graded("mine.py:g", {}, seconds=0.3, base=tmp_path)
    assert found == Killed("time limit", "0.3 seconds")


def test_workers_run_at_the_same_time(tmp_path: Path) -> None:
    write(tmp_path, "import time\ndef f(x):\n    time.sleep(0.3)\n    return x\n")
    box = Sandbox("mine.py:f", base=tmp_path, workers=3)
    box.grade([{"x": i} for i in range(3)])  # the workers are up
    start = time.monotonic()
    assert box.grade([{"x": i} for i in range(3)]) == [Graded(i) for i in range(3)]
    assert time.monotonic() - start < 0.8
    box.close()


REWARD = """
import os, time
def single(completion, answer, **columns):
    if completion == "hang": time.sleep(60)
    if completion == "leave": os._exit(0)
    if completion == "nan": return float("nan")
    if completion == "skip": return None
    return float(completion == answer)
async def batch(completions, **columns):
    assert len(completions) == 1
    if completions[0][0]["content"] == "two": return [1.0, 2.0]
    return [float(len(completions[0][0]["content"]))]
"""


def test_sandboxed_reward_functions(tmp_path: Path) -> None:
    write(tmp_path, REWARD)
    specs = ["sandbox:mine.py:single:seconds=0.5,memory_mb=100", "mine.py:batch:sandbox=true"]
    rewards = open_rewards(specs, base_dir=tmp_path)
    one = group("yes", "no", "hang", "leave", "nan", "skip", answer="yes")
    (said,) = rewards.judge([one])
    first = [j for j in said if j.principle == "single"]
    assert [j.value for j in first] == [1.0, 0.0, None, None, None, None]
    assert [j.verdict for j in first[2:]] == ["error", "error", "error", "not_applicable"]
    assert first[2].reason == "time limit: 0.5 seconds" and first[3].reason.startswith("no answer")
    judged = one.with_judgements(*said)
    assert {(m.reward, m.kind) for m in rewards.missing([judged])} >= {("single", "time limit")}
    (again,) = rewards.judge([group("four", "two", answer="")])
    second = [j for j in again if j.principle == "batch"]
    assert second[0].value == 4.0 and second[1].verdict == "error"
    assert rewards.needs == {"answer"}
    rewards.close()
    assert os.getpid()  # and this process was not harmed
