"""Charter: align a language model to a written constitution, and prove how far it adheres.

Ten names; nothing heavy is imported until one is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from charter.api import compare, evaluate, judge, load, report, run, sample, train
    from charter.constitution import Constitution
    from charter.objectives.custom import objective

_HOME = {
    "load": "charter.api",
    "sample": "charter.api",
    "judge": "charter.api",
    "train": "charter.api",
    "run": "charter.api",
    "evaluate": "charter.api",
    "compare": "charter.api",
    "report": "charter.api",
    "Constitution": "charter.constitution",
    "objective": "charter.objectives.custom",
}

__all__ = [
    "Constitution",
    "compare",
    "evaluate",
    "judge",
    "load",
    "objective",
    "report",
    "run",
    "sample",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'charter' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
