"""Light modules stay light: nothing heavy is imported until it is used."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "datasets", "pandas")
LIGHT = ("types", "errors", "config", "rundir", "stats", "constitution", "catalogue", "reporting", "cli.main")
HELP_SECONDS = 0.5


def exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("name", LIGHT)
def test_import_leaves_heavy_packages_alone(name: str) -> None:
    module = f"charter.{name}"
    if not exists(module):
        pytest.skip(f"{module} does not exist yet")
    code = f"import json, sys, {module}; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("name", ["constitution", "catalogue", "stats", "reporting"])
def test_every_submodule_is_light_too(name: str) -> None:
    code = f"""
import importlib, json, pkgutil, sys
package = importlib.import_module("charter.{name}")
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(found.name)
print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def help_cpu_seconds() -> float:
    """CPU time of ``charter --help`` in a process of its own."""
    code = "from charter.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_help_is_quick() -> None:
    if not exists("charter.cli.main"):
        pytest.skip("charter.cli.main does not exist yet")
    assert min(help_cpu_seconds() for _ in range(5)) < HELP_SECONDS
