"""House rules a linter does not know."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from charter.config import Config
from charter.errors import EnvironmentFault

SOURCE = Path(__file__).parents[2] / "src"
FILES = sorted(SOURCE.glob("charter/**/*.py"))
LONGEST = 450
SHAPE_SUFFIX = re.compile(r".+_[A-Z][A-Z0-9]*$")


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


def test_there_are_files_to_check() -> None:
    assert len(FILES) > 50


def test_no_utils() -> None:
    vague = {"utils", "util", "helpers", "misc", "common"}
    assert [str(path) for path in FILES if path.stem in vague or path.parent.name in vague] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_long_file(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [str(path) for path in FILES if marks.search(path.read_text(encoding="utf-8"))] == []


def tensor_parameters(path: Path) -> Iterator[str]:
    """``function.parameter`` of every parameter annotated with a tensor."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            kinds = ast.unparse(argument.annotation).split(" | ") if argument.annotation else []
            if {"Tensor", "torch.Tensor"} & set(kinds):
                yield f"{node.name}.{argument.arg}"


def test_tensors_say_their_shape() -> None:
    found = [name for path in FILES if path.parent.name == "objectives" for name in tensor_parameters(path)]
    assert "dpo_sigmoid.probability_P" in found
    assert [name for name in found if not SHAPE_SUFFIX.match(name)] == []


def subclasses(cls: type) -> Iterator[type]:
    for found in cls.__subclasses__():
        yield found
        yield from subclasses(found)


def test_every_config_is_frozen_strict_and_closed() -> None:
    for path in FILES:
        if re.search(
            r"^from charter\.config import .*\bConfig\b", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            try:
                importlib.import_module(name_of(path))
            except EnvironmentFault as missing:  # an optional extra; its own tests need it too
                assert "pip install" in str(missing) and ".inspect." in name_of(path), path
    configs = {cls for cls in subclasses(Config) if cls.__module__.startswith("charter.")}
    assert len(configs) >= 3
    for cls in configs:
        assert cls.model_config["frozen"] is True, cls  # type: ignore[attr-defined]
        assert cls.model_config["extra"] == "forbid", cls  # type: ignore[attr-defined]
        assert cls.model_config["strict"] is True, cls  # type: ignore[attr-defined]
