"""Settings of the whole suite."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Any

# Idle OpenMP threads that spin starve the rest of a busy machine. Before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Several processes share the cores: one thread each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# A shared machine may stall any example; what is slow is for the test timeout to say.
settings.register_profile("charter", deadline=None, derandomize=True)
settings.load_profile("charter")


# -- a test that is skipped shows nothing -----------------------------------------------

_skipped: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note why tests are skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped[_reason(report)] += 1


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note why whole files are skipped."""
    if report.skipped:
        _skipped[_reason(report)] += 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say why tests were skipped, and which skips nobody planned."""
    for reason, count in _skipped.most_common():
        unplanned = " (NOT PLANNED: the run fails)" if reason in _unplanned() else ""
        terminalreporter.write_line(f"skipped {count}: {reason}{unplanned}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where ``CHARTER_MAY_SKIP``, a regular expression, does not match a skip's reason."""
    if _unplanned() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unplanned() -> list[str]:
    allowed = os.environ.get("CHARTER_MAY_SKIP")
    return [] if allowed is None else [reason for reason in _skipped if not re.search(allowed, reason)]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ")
