"""Statements of TRL's trainers, run as they are on tensors of ours."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from types import CodeType, SimpleNamespace
from typing import Any

import pytest


def weights_of_trl(held: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    """``vllm_importance_sampling_ratio`` of GRPO, with ``held`` of the trainer and local ``names``."""
    return _run("grpo", _branch("grpo", "vllm_importance_sampling_ratio"), held, names)[
        "vllm_importance_sampling_ratio"
    ]


def advantages_of_trl(trainer: str, held: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    """``advantages`` from ``rewards_per_func``, of all processes."""
    code = _lines(trainer, "unscorable_mask", "process_slice")
    return _run(trainer, code, held, names)["advantages"]


@cache
def _module(trainer: str) -> Any:
    return pytest.importorskip(f"trl.trainer.{trainer}_trainer", reason="TRL is a development dependency")


@cache
def _method(trainer: str) -> ast.FunctionDef:
    method = getattr(_module(trainer), f"{trainer.upper()}Trainer")._generate_and_score_completions
    function = ast.parse(textwrap.dedent(inspect.getsource(method))).body[0]
    assert isinstance(function, ast.FunctionDef)
    return function


def _sets(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == name for target in node.targets
    )


@cache
def _branch(trainer: str, name: str) -> CodeType:
    """The first ``if`` that sets ``name`` itself."""
    ifs = (node for node in ast.walk(_method(trainer)) if isinstance(node, ast.If))
    found = [node for node in ifs if any(_sets(part, name) for part in node.body)]
    first = min(found, key=lambda node: node.lineno)
    return compile(ast.Module(body=[first], type_ignores=[]), f"{trainer}: {name}", "exec")


@cache
def _lines(trainer: str, first: str, end: str) -> CodeType:
    """The statements from the one that sets ``first`` to before the one that sets ``end``."""
    body = _method(trainer).body
    start, stop = (next(i for i, node in enumerate(body) if _sets(node, name)) for name in (first, end))
    return compile(ast.Module(body=body[start:stop], type_ignores=[]), f"{trainer}: {first}", "exec")


def _run(trainer: str, code: CodeType, held: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    space = {**vars(_module(trainer)), "self": SimpleNamespace(**held), **names}
    exec(code, space)
    return space
