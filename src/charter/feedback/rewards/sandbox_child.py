"""The child process of :mod:`charter.feedback.rewards.sandbox`; run by its path, imports no Charter.

It loads the target once, then answers one request a line. Every request is graded in a fork of its
own, so that nothing a grade does is there for the next one, and the fork is killed with everything
it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import importlib
import importlib.util
import inspect
import json
import math
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

NEW_USER, NEW_NET, NEW_NS, NEW_PID, NEW_IPC = 0x10000000, 0x40000000, 0x00020000, 0x20000000, 0x08000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
MOUNT_PRIVATE, SYS_MOUNT_SETATTR, SYS_CAPSET_V3 = (1 << 18) | (1 << 14), 442, 0x20080522
MAX_ANSWER = 1_000_000
MAX_FILE = 16_000_000
MAX_PROCESSES = 16
TAIL = 2000
_SOCKET_EVENTS = frozenset(
    f"socket.{name}" for name in ("connect", "bind", "sendto", "sendmsg", "getaddrinfo", "gethostbyname")
)
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Serve until the request pipe is closed."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    lines = os.fdopen(os.dup(requests), "r", encoding="utf-8")
    setup = json.loads(lines.readline())
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what a grade leaves behind becomes our child
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the parent
    effect = isolate(Path(setup["scratch"]), setup["isolation"])
    sys.path[:] = setup["sys_path"]
    try:
        for module in setup["preload"]:
            importlib.import_module(module)
        function = load(setup["target"], Path(setup["base"]))
        _send(answers, {"effect": effect, "function": describe(function)})
    except BaseException as fault:
        _send(answers, {"error": type(fault).__name__, "detail": str(fault)})
        return
    for line in lines:
        answer = Grade(function, json.loads(line), Path(setup["scratch"]), effect, requests).run()
        _send(answers, answer)


def _send(fd: int, message: Any) -> None:
    data = (json.dumps(message) + "\n").encode()
    while data:
        data = data[os.write(fd, data) :]


# -- isolation -------------------------------------------------------------------------


def isolate(scratch: Path, wanted: str) -> dict[str, str]:
    """Give up the network and, where the kernel permits, everything else that is not needed."""
    effect = {"network": "socket guard", "processes": "session", "files": "own permissions"}
    if wanted == "guard" or not sys.platform.startswith("linux"):
        return effect
    uid, gid = os.getuid(), os.getgid()
    if _libc.unshare(NEW_USER | NEW_NET | NEW_NS | NEW_IPC) != 0:
        return effect
    effect["network"] = "network namespace"
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
    with contextlib.suppress(OSError):
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    if _can_number_processes():
        effect["processes"] = "process namespace"
    if _read_only(scratch):
        effect["files"] = "read-only but for a scratch folder"
    return effect


def _can_number_processes() -> bool:
    """Whether a fork may have a process namespace, which the kernel kills as a whole."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _libc.unshare(NEW_PID) == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0


def _read_only(scratch: Path) -> bool:
    """Everything mounted becomes read-only, and ``scratch`` a small file system in memory."""
    if _libc.mount(b"none", b"/", None, ctypes.c_ulong(MOUNT_PRIVATE), None) != 0:
        return False
    attributes = (ctypes.c_uint64 * 4)(1, 0, 0, 0)  # set MOUNT_ATTR_RDONLY
    if _libc.syscall(SYS_MOUNT_SETATTR, -100, b"/", 0x8000, ctypes.byref(attributes), ctypes.c_size_t(32)):
        return False
    made = _libc.mount(b"tmpfs", os.fsencode(scratch), b"tmpfs", ctypes.c_ulong(0), b"size=64m")
    return bool(made == 0)


def _give_up_rights() -> None:
    """No capability inside the namespaces either, for this process and all it starts."""
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header, nothing = (ctypes.c_uint32 * 2)(SYS_CAPSET_V3, 0), (ctypes.c_uint32 * 6)()
    _libc.capset(ctypes.byref(header), ctypes.byref(nothing))


def _guard(event: str, _: Any) -> None:
    if event in _SOCKET_EVENTS:
        raise PermissionError(f"no network in a sandbox ({event})")


# -- the target ------------------------------------------------------------------------


def load(target: str, base: Path) -> Any:
    """The function a target names: ``file.py:function`` or ``package.module:function``."""
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        path = base / place
        spec = importlib.util.spec_from_file_location("charter_sandboxed", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot load {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules["charter_sandboxed"] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise AttributeError(f"{place} has no function {name!r}")
    return function


def describe(function: Any) -> dict[str, Any]:
    """Its parameters, for a check of the signature in the parent."""
    return {
        "is_class": inspect.isclass(function),
        "parameters": [
            [one.name, one.kind.name, one.default is inspect.Parameter.empty]
            for one in inspect.signature(function).parameters.values()
        ],
    }


# -- one grade -------------------------------------------------------------------------


class Grade:
    """One request, from fork to answer."""

    def __init__(
        self, function: Any, request: dict[str, Any], scratch: Path, effect: dict[str, str], requests: int
    ) -> None:
        self.function, self.request, self.scratch, self.requests = function, request, scratch, requests
        self.numbered = effect["processes"] == "process namespace"
        self.folder = scratch / "grade"

    def run(self) -> dict[str, Any]:
        """Grade, kill what is left, and say what came of it."""
        self.folder.mkdir()
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reads)
            self._child(writes)
        os.close(writes)
        try:
            answer = self._wait(pid, reads)
        finally:
            kill_children()
            os.close(reads)
        answer["output"] = self._output()
        shutil.rmtree(self.folder, ignore_errors=True)
        return answer

    def _child(self, writes: int) -> None:
        """Never returns."""
        os.setsid()
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if self.numbered and _libc.unshare(NEW_PID) == 0:
            inner = os.fork()
            if inner:
                os.close(writes)
                status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
                os._exit(status if status >= 0 else 128 - status)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        try:
            self._limit(writes)
            _answer(writes, self.function, self.request["payload"])
        finally:
            os._exit(0)

    def _limit(self, writes: int) -> None:
        """Limits, a folder and files of its own; the pipes of the parent are closed."""
        output = os.open(self.folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, writes)
        os.closerange(writes + 1, 1024)
        os.chdir(self.folder)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        seconds = math.ceil(self.request["seconds"])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds + 1, seconds + 2))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _give_up_rights()
        sys.addaudithook(_guard)
        most = _address_space() + self.request["memory_mb"] * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def _wait(self, pid: int, reads: int) -> dict[str, Any]:
        """The answer, or why there is none."""
        deadline = time.monotonic() + self.request["seconds"]
        ended = os.pidfd_open(pid)
        poll = select.poll()
        for fd in (reads, ended):
            poll.register(fd, select.POLLIN)
        poll.register(self.requests, 0)  # hang-up only: the parent is gone
        data = b""
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    return {"killed": "time limit", "detail": f"{self.request['seconds']:g} seconds"}
                ready = {fd for fd, _ in poll.poll(min(left, 0.05) * 1000)}
                if self.requests in ready:
                    kill_children()
                    os._exit(0)
                if reads in ready:
                    part = os.read(reads, 65536)
                    data += part
                    if not part:
                        poll.unregister(reads)  # closed: a hang-up would be reported for ever
                if b"\n" in data:
                    return _parsed(data)
                if len(data) > MAX_ANSWER:
                    return {"killed": "answer limit", "detail": f"more than {MAX_ANSWER} bytes"}
                if ended in ready and reads not in ready:
                    return _ended(pid)
                if len(descendants()) > MAX_PROCESSES:
                    return {"killed": "process limit", "detail": f"more than {MAX_PROCESSES} processes"}
        finally:
            os.close(ended)

    def _output(self) -> str:
        try:
            with open(self.folder / "output", "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(file.tell() - TAIL, 0))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""


def _answer(writes: int, function: Any, payload: dict[str, Any]) -> None:
    """Call the function and write one line."""
    try:
        value = function(**payload)
        if inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
        text = json.dumps({"value": value}, default=_plain)
    except MemoryError:
        text = '{"killed": "memory limit"}'
    except BaseException as fault:
        text = json.dumps(_fault(fault))
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        data = (text + "\n").encode("utf-8", "replace")
        while data:
            data = data[os.write(writes, data) :]


async def _awaited(value: Any) -> Any:
    return await value


def _fault(fault: BaseException) -> dict[str, str]:
    if isinstance(fault, OSError) and fault.errno == errno.EFBIG:
        return {"killed": "output limit", "detail": f"more than {MAX_FILE} bytes in a file"}
    frames = traceback.extract_tb(fault.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if len(frames) > 1 else ""
    return {"error": type(fault).__name__, "detail": f"{str(fault)[:TAIL]}{at}"}


def _plain(value: Any) -> Any:
    """A numpy or torch scalar or array as JSON."""
    for method in ("item", "tolist"):
        if callable(getattr(value, method, None)):
            with contextlib.suppress(ValueError, RuntimeError):
                return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} cannot be handed back")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data[: data.index(b"\n")])
    except ValueError:
        return {"error": "bad answer", "detail": "not JSON"}
    return found if isinstance(found, dict) else {"error": "bad answer", "detail": "not an object"}


def _ended(pid: int) -> dict[str, Any]:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    number = -code if code < 0 else code - 128
    if number == signal.SIGXCPU:
        return {"killed": "time limit", "detail": "processor time"}
    if 0 < number < 65:
        return {"killed": "signal", "detail": str(number)}
    return {"error": "no answer", "detail": f"the process ended with status {code}"}


# -- processes -------------------------------------------------------------------------


def descendants(root: int | None = None) -> list[int]:
    """Every process below this one."""
    found: list[int] = []
    waiting = children_of(os.getpid() if root is None else root)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children_of(pid)
    return found


def children_of(pid: int) -> list[int]:
    """Direct children, of all threads."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def kill_children() -> None:
    """Kill every child, and the orphans that come to us by it, until there is none."""
    while True:
        for pid in descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _address_space() -> int:
    """Bytes of address space in use now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
