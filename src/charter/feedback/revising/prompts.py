"""What models are asked: versioned, hashed wordings, and requests made from a principle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field

from charter.config import Config, parse_yaml, read_yaml, validate
from charter.constitution import Constitution, Principle
from charter.constitution.prompt import plain
from charter.errors import ConfigError, did_you_mean
from charter.rundir import sha256_json
from charter.types import Message

_PLACE = re.compile(r"\{([a-z_]+)\}")
_FILE = "wording.yaml"


@dataclass(frozen=True)
class Wording:
    """A text with places to fill in.

    Attributes:
        name: what it is for.
        version: raised whenever the text changes.
        text: with ``{places}``.
    """

    name: str
    version: int
    text: str

    @cached_property
    def sha(self) -> str:
        """Identity of the wording, without what is filled in."""
        return sha256_json([self.name, self.version, self.text])

    @property
    def places(self) -> frozenset[str]:
        """Names of the places."""
        return frozenset(_PLACE.findall(self.text))

    def fill(self, **values: object) -> str:
        """The text with every place filled; braces in the values stay as they are.

        Raises:
            KeyError: a place without a value.
        """
        return _PLACE.sub(lambda place: str(values[place[1]]), self.text)


@dataclass(frozen=True, slots=True)
class Shown:
    """A worked example of a critique and a revision."""

    principle: str
    prompt: str
    answer: str
    critique: str
    revision: str


@dataclass(frozen=True)
class Wordings:
    """All wordings, by name, and the worked examples."""

    by_name: Mapping[str, Wording]
    examples: tuple[Shown, ...]

    def __getitem__(self, name: str) -> Wording:
        return self.by_name[name]

    @cached_property
    def examples_sha(self) -> str:
        """Identity of the worked examples."""
        return sha256_json([[e.principle, e.prompt, e.answer, e.critique, e.revision] for e in self.examples])

    def example_turns(self) -> tuple[Message, ...]:
        """The worked examples as turns, asked as a real critique and revision are."""
        turns: list[Message] = []
        for one in self.examples:
            turns += [
                Message("user", one.prompt),
                Message("assistant", one.answer),
                Message("user", self["critique"].fill(principle=one.principle)),
                Message("assistant", one.critique),
                Message("user", self["revision"].fill(principle=one.principle)),
                Message("assistant", one.revision),
            ]
        return tuple(turns)


class _WordingConfig(Config):
    version: int = Field(ge=1)
    text: str = Field(min_length=1)


class _ShownConfig(Config):
    principle: str
    prompt: str
    answer: str
    critique: str
    revision: str


def wordings(path: str | Path | None = None) -> Wordings:
    """The shipped wordings, or those with the texts of a file of one's own in their place.

    Raises:
        ConfigError: an unknown name, or places that are not those of the shipped wording.
    """
    shipped = _shipped()
    if path is None:
        return shipped
    own = _parse(read_yaml(Path(path)), str(path))
    for name, wording in own.by_name.items():
        if name not in shipped.by_name:
            raise ConfigError(f"no wording {name!r}; {did_you_mean(name, shipped.by_name)}", where=str(path))
        wanted = shipped[name].places
        if wording.places != wanted:
            raise ConfigError(
                f"{name} must have the places {_named(wanted)}, and has {_named(wording.places)}",
                where=str(path),
            )
    return Wordings({**shipped.by_name, **own.by_name}, own.examples or shipped.examples)


def statement(principle: Principle, titles: Mapping[str, str] | None = None) -> str:
    """The principle as a model reads it: title and text, and what its rubric says is no violation."""
    titles = titles or {}
    title = plain(principle.title, titles).rstrip(".")
    text = " ".join(plain(principle.text, titles).split())
    said = f"{title}. {text}".rstrip() if text else f"{title}."
    exempt = principle.rubric.not_a_violation if principle.rubric else ""
    return f"{said} It is no violation if: {exempt}" if exempt else said


def titles_of(constitution: Constitution) -> dict[str, str]:
    """Titles by id, for links in a principle's text."""
    return {heading.id: heading.title for heading in constitution.headings if heading.id}


@cache
def _shipped() -> Wordings:
    text = (resources.files("charter.feedback.revising") / _FILE).read_text(encoding="utf-8")
    return _parse(parse_yaml(text, where=_FILE), _FILE)


def _parse(values: Mapping[str, Any], where: str) -> Wordings:
    values = dict(values)
    examples = values.pop("examples", [])
    if not isinstance(examples, list):
        raise ConfigError("examples is a list", where=where)
    shown = [validate(_ShownConfig, one, where=f"{where}: examples") for one in examples]
    found = {}
    for name, value in values.items():
        config = validate(_WordingConfig, value, where=f"{where}: {name}")
        found[str(name)] = Wording(str(name), config.version, config.text)
    return Wordings(found, tuple(Shown(**one.model_dump()) for one in shown))


def _named(places: frozenset[str]) -> str:
    return ", ".join(f"{{{place}}}" for place in sorted(places)) or "none"
