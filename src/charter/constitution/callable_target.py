"""``file.py:function`` targets, checked without running the file."""

from __future__ import annotations

import ast
from pathlib import Path

from charter.errors import did_you_mean
from charter.rundir import sha256_file


def file_of(target: str, base: Path) -> Path | None:
    """The file a target names, relative to ``base``; None when it names a module."""
    place = target.rpartition(":")[0]
    return base / place if place.endswith(".py") else None


def file_sha(target: str, base: Path) -> str:
    """sha256 of the file that holds the function; "" for a module target.

    Raises:
        ValueError: there is no such file, it is not Python, or it does not define the function.
    """
    path = file_of(target, base)
    if path is None:
        return ""
    function = target.rpartition(":")[2]
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is not valid Python: {error}") from None
    names = _top_level_names(tree)
    if function not in names:
        raise ValueError(f"{path} defines no {function!r}; {did_you_mean(function, names)}")
    return sha256_file(path)


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
    return names
