"""The ``yaml rules`` block: a tree of rules under ``all``, ``any`` and ``not``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charter.constitution.callable_target import file_sha
from charter.constitution.rules import RULES, SHORTHAND, AppliesWhen, Callable, RuleConfig
from charter.constitution.yaml_block import YamlBlock
from charter.errors import did_you_mean

Combine = Literal["all", "any", "not"]
COMBINATORS: tuple[Combine, ...] = ("all", "any", "not")


@dataclass(frozen=True, slots=True)
class Check:
    """One rule with its options.

    Attributes:
        name: a key of :data:`charter.constitution.rules.RULES`.
        config: its options.
        line: where it stands in the file.
        file_sha: sha256 of the file that holds a callable, else "".
    """

    name: str
    config: RuleConfig
    line: int
    file_sha: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; options left at their default are left out."""
        options = self.config.model_dump(mode="json", exclude_defaults=True)
        if self.file_sha:
            options["file_sha"] = self.file_sha
        return {self.name: options}

    def describe(self) -> str:
        """What it demands, in words for people."""
        return self.config.describe()


@dataclass(frozen=True, slots=True)
class Combination:
    """Rules of which all, any, or (for ``not``: the one) must not pass."""

    combine: Combine
    parts: tuple[Rule, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        parts = [part.to_dict() for part in self.parts]
        return {self.combine: parts[0] if self.combine == "not" else parts}

    def describe(self) -> str:
        """What it demands, in words for people."""
        if self.combine == "not":
            return f"not ({self.parts[0].describe()})"
        if self.combine == "any":
            return " or ".join(f"({part.describe()})" for part in self.parts)
        return "; ".join(part.describe() for part in self.parts)


Rule = Check | Combination


@dataclass(frozen=True, slots=True)
class Rules:
    """How rules judge a principle.

    Attributes:
        rule: what an answer must pass.
        applies_when: which prompts the principle is about; None = every prompt.
    """

    rule: Rule
    applies_when: AppliesWhen | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; options left at their default are left out."""
        found: dict[str, Any] = {"rule": self.rule.to_dict()}
        if self.applies_when is not None:
            found["applies_when"] = self.applies_when.model_dump(mode="json", exclude_defaults=True)
        return found

    def describe(self) -> str:
        """The rules in words for people."""
        when = f" (on {self.applies_when.describe()})" if self.applies_when else ""
        return self.rule.describe() + when

    def checks(self) -> list[Check]:
        """Every single rule of the tree."""
        return checks_of(self.rule)


def checks_of(rule: Rule) -> list[Check]:
    """Every single rule under ``rule``."""
    if isinstance(rule, Check):
        return [rule]
    return [check for part in rule.parts for check in checks_of(part)]


def read_rules(block: YamlBlock, value: Any, *loc: str | int) -> Rules:
    """Read the rules found at ``loc`` of ``block``.

    Raises:
        ConstitutionError: an unknown rule, option or value, at its line.
    """
    options = block.mapping(value, *loc)
    for key in options:
        if key not in ("applies_when", *COMBINATORS):
            fix = _hint(key) if key in RULES else did_you_mean(key, ("applies_when", *COMBINATORS))
            raise block.error(f"unknown key {key!r} in rules", *loc, key, fix=fix)
    parts = [_combination(block, key, options[key], *loc, key) for key in COMBINATORS if key in options]
    if not parts:
        raise block.error(
            "the rules block names no rule", *loc, fix="write `all:` and a list of rules under it"
        )
    applies_when = None
    if "applies_when" in options:
        applies_when = block.build(AppliesWhen, options["applies_when"], *loc, "applies_when")
    return Rules(parts[0] if len(parts) == 1 else Combination("all", tuple(parts)), applies_when)


def _combination(block: YamlBlock, combine: Combine, value: Any, *loc: str | int) -> Combination:
    if combine == "not":
        return Combination("not", (_rule(block, value, *loc),))
    items = block.items(value, *loc)
    if not items:
        raise block.error(f"`{combine}:` lists no rules", *loc)
    return Combination(combine, tuple(_rule(block, item, *loc, i) for i, item in enumerate(items)))


def _rule(block: YamlBlock, value: Any, *loc: str | int) -> Rule:
    if isinstance(value, str):
        value = {value: None}
    options = block.mapping(value, *loc)
    if len(options) != 1:
        raise block.error(
            f"one rule per item, found {len(options)}: {', '.join(options) or 'nothing'}",
            *loc,
            fix="write each rule as its own `- name: {...}` item",
        )
    [(name, arguments)] = options.items()
    for combine in COMBINATORS:
        if name == combine:
            return _combination(block, combine, arguments, *loc, name)
    if name not in RULES:
        raise block.error(f"unknown rule {name!r}", *loc, name, fix=did_you_mean(name, RULES))
    return _check(block, name, arguments, *loc, name)


def _check(block: YamlBlock, name: str, arguments: Any, *loc: str | int) -> Check:
    if isinstance(arguments, str) and name in SHORTHAND:
        arguments = {SHORTHAND[name]: arguments}
    config = block.build(RULES[name], {} if arguments is True else block.mapping(arguments, *loc), *loc)
    sha = ""
    if isinstance(config, Callable):
        try:
            sha = file_sha(config.target, Path(block.path).parent)
        except ValueError as error:
            raise block.error(str(error), *loc) from None
    return Check(name, config, block.line(*loc), sha)


def _hint(name: str) -> str:
    return f"put the rule in a list: `all:` and then `- {name}: ...`"
