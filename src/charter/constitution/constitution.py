"""A constitution: principles in levels of authority, read from one Markdown file."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from charter.constitution.amend_rules import AmendRules
from charter.constitution.document import Heading
from charter.constitution.front_matter import Compose, FrontMatter, Gates, JudgeOptions
from charter.constitution.parse import parse
from charter.constitution.principle import Principle
from charter.constitution.prompt import system_prompt
from charter.constitution.references import Link
from charter.constitutions import located, shipped
from charter.errors import ConstitutionError, did_you_mean
from charter.rundir import sha256_json


@dataclass(frozen=True)
class Constitution:
    """A whole constitution.

    Attributes:
        front: the front matter (defaults where the file has none).
        has_front_matter: did the file have one?
        principles: in the order of the file, retired ones included.
        headings: every heading, principle or not.
        links: every internal link.
        path: where it was read from.
        focus: ids of the principles in question; empty = all. It changes no fingerprint: the rest stays
            part of the constitution, and is left alone.
    """

    front: FrontMatter
    has_front_matter: bool
    principles: tuple[Principle, ...]
    headings: tuple[Heading, ...]
    links: tuple[Link, ...]
    path: str
    focus: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Constitution:
        """Read a file, or the constitution of that name that comes with Charter.

        Raises:
            ConstitutionError: the file is missing or wrong; ``where`` is ``file:line``.
        """
        found = located(path)
        return cls.from_text(read_text(found), found)

    @classmethod
    def from_text(cls, text: str, path: str | os.PathLike[str] = "constitution") -> Constitution:
        """Read ``text``; ``path`` names it in errors, and callables are found beside it.

        Raises:
            ConstitutionError: the text is wrong.
        """
        found = parse(text, os.fspath(path))
        return cls(
            found.front,
            found.has_front_matter,
            found.principles,
            found.headings,
            found.links,
            os.fspath(path),
        )

    # -- front matter ---------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the constitution."""
        return self.front.name

    @property
    def version(self) -> str:
        """Semantic version."""
        return self.front.version

    @property
    def licence(self) -> str:
        """SPDX name of the text's licence, or empty."""
        return self.front.licence

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels of authority, highest first."""
        return self.front.levels

    @property
    def override(self) -> Mapping[str, str]:
        """Who may set a level's principles aside."""
        return self.front.override

    @property
    def compose(self) -> Compose:
        """How verdicts are combined."""
        return self.front.compose

    @property
    def judge(self) -> JudgeOptions:
        """How models judge."""
        return self.front.judge

    @property
    def gates(self) -> Gates:
        """What an aligned model must reach."""
        return self.front.gates

    @property
    def amend(self) -> AmendRules:
        """Who may amend the text."""
        return self.front.amend

    # -- principles -----------------------------------------------------------

    @property
    def active(self) -> tuple[Principle, ...]:
        """Principles that are in force, in the order of the file; those in focus, where some are."""
        return tuple(
            principle
            for principle in self.principles
            if principle.active and (not self.focus or principle.id in self.focus)
        )

    def focused(self, ids: Collection[str]) -> Constitution:
        """The same constitution, of which only these principles are in question.

        Raises:
            ConstitutionError: an unknown principle, one that is not in force, or none at all.
        """
        for id in ids:
            if not self.principle(id).active:
                raise ConstitutionError(f"principle {id!r} is not in force", where=self.path)
        if not ids:
            raise ConstitutionError("no principle was named", where=self.path)
        return replace(self, focus=frozenset(ids))

    @property
    def whole(self) -> Constitution:
        """The constitution with every principle in question."""
        return replace(self, focus=frozenset())

    def principle(self, id: str) -> Principle:
        """The principle with that id.

        Raises:
            ConstitutionError: there is none.
        """
        for principle in self.principles:
            if principle.id == id:
                return principle
        known = [principle.id for principle in self.principles]
        raise ConstitutionError(f"no principle {id!r}", where=self.path, fix=did_you_mean(id, known))

    def rank(self, principle: Principle) -> int:
        """0 for the highest level; a principle without a level ranks below all."""
        return self.levels.index(principle.level) if principle.level else len(self.levels)

    @property
    def titles(self) -> dict[str, str]:
        """Title by id, of every heading that has an id."""
        return {heading.id: heading.title for heading in self.headings if heading.id}

    def test_prompts(self) -> list[str]:
        """Every prompt of every test: none of them may be trained on."""
        return [
            prompt for principle in self.principles for case in principle.tests for prompt in case.prompts()
        ]

    def system_prompt(self, only: Sequence[str] = ()) -> str:
        """Active principles as a plain prompt, highest level first; a guide when sampling.

        Args:
            only: ids to list; empty = all.

        Raises:
            ConstitutionError: ``only`` names an unknown principle.
        """
        wanted = {self.principle(id).id for id in only} or {principle.id for principle in self.active}
        listed = [principle for principle in self.active if principle.id in wanted]
        return system_prompt(sorted(listed, key=self.rank), self.titles)

    # -- identity -------------------------------------------------------------

    @cached_property
    def sha(self) -> str:
        """sha256 of what decides a verdict on the whole.

        Every principle (id, sha, weight, hard, status) and how they are judged
        and composed: levels, override, compose, judge. Who may amend counts where
        the file says it. Name, version, gates and the order of the file do not.
        """
        principles = sorted((p.id, p.sha, p.weight, p.hard, p.status) for p in self.principles)
        keys = {"levels", "override", "compose", "judge"}
        if self.front.amend != AmendRules():
            keys.add("amend")
        return sha256_json({"principles": principles, **self.front.model_dump(mode="json", include=keys)})

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "version": self.version,
            "sha": self.sha,
            "front_matter": self.front.model_dump(mode="json"),
            "principles": [principle.to_dict() for principle in self.principles],
        }

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a constitution file.

    Raises:
        ConstitutionError: no such file, or not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        fix = f"check the path; these come with Charter and need none: {', '.join(shipped())}"
        raise ConstitutionError("no such file", where=os.fspath(path), fix=fix) from None
    except UnicodeDecodeError as error:
        raise ConstitutionError(f"not UTF-8 text: {error}", where=os.fspath(path)) from None
    except OSError as error:
        raise ConstitutionError(f"cannot read: {error.strerror}", where=os.fspath(path)) from None
