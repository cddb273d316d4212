"""The strict base of every config: frozen, typed, and an unknown key is an error.

YAML and flags go through the same models, so they give the same messages.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from charter.errors import ConfigError, did_you_mean


class Config(BaseModel):
    """Frozen options; unknown keys and lossy conversions are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


ConfigT = TypeVar("ConfigT", bound=BaseModel)


_DATE = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML with duplicate keys refused (plain YAML silently keeps the last), and dates left as text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, Any]]]] = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue  # `<<: *base` is resolved by construct_mapping; what stands here overrides it
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a word, not a list or mapping", key_node.start_mark
                )
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; errors name file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path), fix="check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 text: {error}", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from None
    return parse_yaml(text, where=str(path))


def parse_yaml(text: str, *, where: str, first_line: int = 1) -> dict[str, Any]:
    """Parse a YAML mapping found at ``where``; ``first_line`` is the line it starts on."""
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        raise ConfigError(f"bad YAML: {error.problem}", where=f"{where}:{line}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"bad YAML: {error}", where=where) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(
            f"expected `key: value` lines, found {type(value).__name__}", where=f"{where}:{first_line}"
        )
    return value


def validate(model: type[ConfigT], values: Any, *, where: str) -> ConfigT:
    """Build ``model`` from plain values; every problem is named, with the nearest known key."""
    try:
        # Through JSON: strict about types, yet a YAML list may fill a tuple.
        text = json.dumps(values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not plain data: {error}", where=where) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(explain(error, model), where=where) from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Pydantic's findings in words a person can act on."""
    lines = [_explain_one(detail, model) for detail in error.errors(include_url=False)]
    return lines[0] if len(lines) == 1 else "\n  " + "\n  ".join(lines)


def _explain_one(detail: ErrorDetails, model: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _fields_at(model, detail["loc"][:-1])
        return f"unknown key {path!r}; {did_you_mean(str(detail['loc'][-1]), known)}"
    if detail["type"] == "missing":
        return f"missing key {path!r}"
    if detail["type"] == "value_error":
        return f"{path}: {detail['ctx']['error']}" if path else str(detail["ctx"]["error"])
    value = detail.get("input")
    message = f"{path}: {detail['msg']}, got {value!r}"
    if isinstance(value, str) and detail["type"] in ("float_type", "int_type") and _is_number(value):
        message += f" (text, not a number: write {_plain(value)})"
    return message


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Field names of the nested model at ``loc``, as far as annotations tell."""
    current: type[BaseModel] = model
    for part in loc:
        info = current.model_fields.get(str(part))
        nested = [] if info is None else _models_in(info.annotation)
        if not nested:
            if isinstance(part, int) or info is None:
                continue
            return []
        current = nested[0]
    return list(current.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for inner in getattr(annotation, "__args__", ()):
        found += _models_in(inner)
    return found


def _plain(text: str) -> str:
    """The number as YAML reads it: 1e-5 is text to YAML, 1.0e-5 a number."""
    mantissa, e, exponent = text.strip().lower().partition("e")
    return f"{float(mantissa)}e{int(exponent):+d}" if e else mantissa


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
