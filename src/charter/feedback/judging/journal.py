"""Every answer of a service, written down as it returns, so that nothing is paid for twice.

A journal is a JSONL file of one row a call. A run that is started again reads it and asks only what is
missing; a cache shared by many runs is the same file. It holds answers and hashes of questions, no keys.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from charter.engines.base import Sampling
from charter.errors import EnvironmentFault, UserError
from charter.feedback.judging.model import Reply
from charter.rundir import append_jsonl, now, read_jsonl, sha256_json

_REPLY_FIELDS = ("text", "error", "model", "tokens_in", "tokens_out", "cost", "finish_reason")


def call_key(
    service: str, prompt_sha: str, question_sha: str, sampling: Sampling, index: int, sent: Any = None
) -> str:
    """Identity of one call: who is asked what, with which template, sampled how, and the how-manieth time.

    Args:
        service: name of the model and of where it is.
        prompt_sha: of the template.
        question_sha: of everything the model reads.
        sampling: how tokens are chosen.
        index: number of this answer among those to the same question.
        sent: whatever else of the request decides the answer.
    """
    return sha256_json([service, prompt_sha, question_sha, sampling.model_dump(mode="json"), index, sent])


def again(reply: Reply) -> Reply:
    """``reply`` given once more: it costs nothing now."""
    return replace(reply, cached=True, cost=0.0)


class Journal:
    """Answers by the key of their call.

    Calls that failed are written down too, for people; they are asked again.

    Args:
        path: the file, made when missing; None = answers are kept in memory only.

    Raises:
        UserError: the file is something else, or damaged before its last line.
        EnvironmentFault: it cannot be read or its directory not made.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._replies: dict[str, Reply] = {}
        self.failed = 0
        """Rows of calls that failed."""
        if self.path is not None:
            self._read(self.path)

    def __len__(self) -> int:
        return len(self._replies)

    @property
    def cost(self) -> float:
        """What all its answers cost, in whatever currency they were paid in."""
        return sum(reply.cost for reply in self._replies.values())

    def get(self, key: str) -> Reply | None:
        """The answer to the call, marked as cached; None = it was never answered."""
        reply = self._replies.get(key)
        return None if reply is None else again(reply)

    def add(self, key: str, reply: Reply, about: dict[str, Any], *, failed: bool = False) -> None:
        """Keep ``reply`` and write it down at once.

        Args:
            key: of the call.
            reply: what came back.
            about: what the row says about the call besides: names and hashes.
            failed: there is no answer, so the call is to be made again.

        Raises:
            EnvironmentFault: the disk refuses.
        """
        if failed:
            self.failed += 1
        else:
            self._replies[key] = reply
        if self.path is None:
            return
        said = {name: getattr(reply, name) for name in _REPLY_FIELDS}
        self._append({"key": key, "failed": failed, "at": now(), **about, **said})

    def _append(self, row: dict[str, Any]) -> None:
        from filelock import FileLock

        assert self.path is not None
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):  # runs may share a cache
            append_jsonl(self.path, row)

    def _read(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = read_jsonl(path)
        except OSError as error:
            raise EnvironmentFault(f"cannot read: {error.strerror or error}", where=str(path)) from None
        except UserError as error:
            raise UserError(error.what, where=error.where, fix="delete that line; the rest is kept") from None
        for number, row in enumerate(rows, start=1):
            try:
                key, failed = row["key"], row["failed"]
                reply = Reply(**{name: row[name] for name in _REPLY_FIELDS})
            except (KeyError, TypeError):
                raise UserError(
                    "not a row of a journal of answers",
                    where=f"{path}:{number}",
                    fix="name a new file, or one that a journal was written to",
                ) from None
            if failed:
                self.failed += 1
            else:
                self._replies[key] = reply
