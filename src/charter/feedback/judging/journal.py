"""Every answer of a service, written down as it returns, so that nothing is paid for twice.

It holds answers and hashes of questions, no keys of services.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from charter.engines.base import Sampling
from charter.feedback.journal import KEY, JournalFile
from charter.feedback.judging.model import Reply
from charter.rundir import now, sha256_json

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


class Journal(JournalFile[Reply]):
    """Answers by the key of their call.

    Calls that failed are written down too, for people; they are asked again. See
    :class:`charter.feedback.journal.JournalFile` for the file and what is wrong with one.
    """

    line = "row of a journal of answers"

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.failed = 0
        """Rows of calls that failed."""
        super().__init__(path)

    @property
    def cost(self) -> float:
        """What all its answers cost, in whatever currency they were paid in."""
        return sum(reply.cost for reply in self._answers.values())

    def get(self, key: str) -> Reply | None:
        """The answer to the call, marked as cached; None = it was never answered."""
        reply = super().get(key)
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
        self._keep(key, reply, failed)
        said = {name: getattr(reply, name) for name in _REPLY_FIELDS}
        self._write({KEY: key, "failed": failed, "at": now(), **about, **said})

    def _take(self, row: Mapping[str, Any]) -> None:
        self._keep(row[KEY], Reply(**{name: row[name] for name in _REPLY_FIELDS}), row["failed"])

    def _keep(self, key: str, reply: Reply, failed: bool) -> None:
        if failed:
            self.failed += 1
        else:
            self._answers[key] = reply
