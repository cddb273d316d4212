"""Running a Python file that a person wrote: a rule, a loss, an environment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def run_file(path: Path, name: str) -> ModuleType:
    """The file at ``path`` as the module ``name``; what it raises passes through, and leaves no module.

    Args:
        path: of a Python file.
        name: of its own, so that two files called alike do not meet.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
