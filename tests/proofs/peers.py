"""What a test that holds an algorithm to a peer is made of, read from its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

PEERS = {"trl", "transformers", "numpy"}
"""Packages whose numbers are not ours."""

CITES = re.compile(r"\b\d{4}\.\d{4,5}\b|\btrl\b|\bauthors\b|transformers", re.IGNORECASE)
"""In a docstring or a name: whose lines the test repeats, where it calls no package of theirs."""


def what_is_missing(source: str, name: str) -> str:
    """What a test lacks to be a comparison of Charter with a peer; "" = nothing.

    Followed are the functions, fixtures and imports of the module that the test names.
    """
    module = ast.parse(source)
    test = next((n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == name), None)
    if test is None or not name.startswith("test_"):
        return f"no test is called {name}"
    parts = list(_reached(module, test))
    nodes = [node for part in parts for node in ast.walk(part)]
    names = {found for node in nodes for found in _names(node)}
    packages = {found for node in nodes for found in _packages(node)}
    if not any(isinstance(node, ast.Assert) for node in nodes) and "assert_close" not in names:
        return "it compares nothing"
    if "charter" not in packages:
        return "it does not reach charter"
    cited = CITES.search(f"{ast.get_docstring(test) or ''} {name.replace('_', ' ')}")
    if not packages & PEERS and not (cited and _computes_theirs(nodes)):
        return "it reaches nothing independent"
    return ""


def _reached(module: ast.Module, test: ast.FunctionDef) -> Iterator[ast.stmt]:
    """The test, and what it names of its module, and what that names."""
    defined = {name: node for node in module.body for name in _defines(node)}
    waiting: list[ast.stmt] = [test]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        named = {name for part in ast.walk(node) for name in _names(part)}
        waiting += [defined[name] for name in named if name in defined]


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _names(node: ast.AST) -> list[str]:
    """What a node names: variables, attributes, and arguments, which may be fixtures."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    return [node.arg] if isinstance(node, ast.arg) else []


def _packages(node: ast.AST) -> list[str]:
    """Packages a node imports, by a statement or by ``importorskip``."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    if isinstance(node, ast.Call) and "importorskip" in _names(node.func) and node.args:
        first = node.args[0]
        return [str(first.value).partition(".")[0]] if isinstance(first, ast.Constant) else []
    return []


def _computes_theirs(nodes: list[ast.AST]) -> bool:
    """Whether a value is computed that the test calls a peer's."""
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return "theirs" in stored
