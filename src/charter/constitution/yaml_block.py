"""YAML inside a constitution file, with every error at its own line of that file."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml
from pydantic import ValidationError

from charter.config import Config, ConfigT, explain, parse_yaml
from charter.errors import ConfigError, ConstitutionError

# The block is parsed as the value of this one key, so that a list, a mapping and
# an empty block all go through the same reader.
_KEY = "_"


@dataclass(frozen=True)
class YamlBlock:
    """A piece of YAML: its text, and where it stands.

    Attributes:
        text: the YAML.
        path: the file, as errors name it.
        first_line: line of the file on which ``text`` begins.

    Raises:
        ConstitutionError: from :attr:`value`, when the YAML cannot be read.
    """

    text: str
    path: str
    first_line: int

    @cached_property
    def _wrapped(self) -> str:
        return f"{_KEY}:\n" + textwrap.indent(self.text, " ")

    @cached_property
    def value(self) -> Any:
        """The parsed value."""
        try:
            return parse_yaml(self._wrapped, where=self.path, first_line=self.first_line - 1)[_KEY]
        except ConfigError as error:
            raise ConstitutionError(error.what, where=error.where, fix=error.fix) from None

    @cached_property
    def _nodes(self) -> yaml.Node:
        root = yaml.compose(self._wrapped, Loader=yaml.SafeLoader)
        return root.value[0][1]  # type: ignore[no-any-return, union-attr]

    def line(self, *loc: str | int) -> int:
        """Line of the key or item at ``loc``; of its nearest parent when it is missing."""
        node, line = self._nodes, self.first_line
        for part in loc:
            found = _child(node, part)
            if found is None:
                continue  # a part of the schema that the file does not spell out
            mark, node = found
            line = self.first_line - 1 + mark.line
        return line

    def error(self, what: str, *loc: str | int, fix: str | None = None) -> ConstitutionError:
        """An error at ``loc``, to be raised."""
        return ConstitutionError(what, where=f"{self.path}:{self.line(*loc)}", fix=fix)

    def mapping(self, value: Any, *loc: str | int) -> dict[str, Any]:
        """``value`` if it is a mapping (nothing counts as an empty one).

        Raises:
            ConstitutionError: it is something else.
        """
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.error(f"expected `key: value`, found {_kind(value)}", *loc)
        return {str(key): item for key, item in value.items()}

    def items(self, value: Any, *loc: str | int) -> list[Any]:
        """``value`` if it is a list (nothing counts as an empty one).

        Raises:
            ConstitutionError: it is something else.
        """
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(f"expected a list of `- ...` items, found {_kind(value)}", *loc)
        return value

    def build(self, model: type[ConfigT], values: Any, *loc: str | int) -> ConfigT:
        """Validate ``values``, found at ``loc``, as ``model``.

        Raises:
            ConstitutionError: at the line of the first offending key.
        """
        try:
            return model.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise self.error(explained(error, model), *loc, *first["loc"]) from None


def explained(error: ValidationError, model: type[Config] | type[ConfigT]) -> str:
    """Pydantic's findings in words; what a validator of ours said is passed on as it is."""
    details = error.errors(include_url=False)
    if all(detail["type"] == "value_error" for detail in details):
        return "; ".join(str(detail["ctx"]["error"]) for detail in details)
    return explain(error, model)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number"}
    return names.get(type(value), type(value).__name__)
