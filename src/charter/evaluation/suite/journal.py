"""Conversations that were had, kept as they come: nothing is asked twice after an interruption."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from charter.engines.base import Mixture, Sampling
from charter.errors import EnvironmentFault, UserError
from charter.evaluation.suite.plan import Conversation
from charter.records import group_from_json, group_to_json
from charter.rundir import append_jsonl, read_jsonl, sha256_json
from charter.types import Group


class Journal:
    """A file with one conversation a line.

    Args:
        path: the file; None = nothing is kept.
        sampling: part of what identifies an answer.
        policy: likewise.
        identity: likewise: of the model's weights.

    Raises:
        EnvironmentFault: the file cannot be read.
        UserError: it is something else.
    """

    def __init__(
        self, path: Path | None, sampling: Sampling, policy: str | Mixture = "policy", identity: str = ""
    ) -> None:
        self.path = path
        who = policy if isinstance(policy, str) else policy.label
        self._common: list[Any] = [sampling.model_dump(mode="json"), who, identity]
        self._kept = {} if path is None else _read(path)

    def find(self, one: Conversation) -> Group | None:
        """What was answered before, or None."""
        return self._kept.get(self._key(one))

    def keep(self, had: Iterable[tuple[Conversation, Group]]) -> None:
        """Write down what was answered.

        Raises:
            EnvironmentFault: the file cannot be written.
        """
        rows = [(self._key(one), group) for one, group in had]
        self._kept.update(rows)
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for key, group in rows:
                append_jsonl(self.path, {"key": key, "group": group_to_json(group)})
        except OSError as error:
            raise EnvironmentFault(f"cannot write: {error.strerror}", where=str(self.path)) from None

    def _key(self, one: Conversation) -> str:
        content = one.context.content
        said = content if isinstance(content, str) else [[turn.role, turn.content] for turn in content]
        asked = [one.id, one.kind, said, list(one.context.token_ids), list(one.pushes), one.samples]
        return sha256_json([*asked, list(one.tags), *self._common])


def _read(path: Path) -> dict[str, Group]:
    try:
        rows = read_jsonl(path)
    except OSError as error:
        raise EnvironmentFault(f"cannot read: {error.strerror}", where=str(path)) from None
    found: dict[str, Group] = {}
    for number, row in enumerate(rows, start=1):
        try:
            found[row["key"]] = group_from_json(row["group"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                "not a row of a journal of conversations",
                where=f"{path}:{number}",
                fix="name a new file, or one that a journal was written to",
            ) from None
    return found
