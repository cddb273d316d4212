"""What a critic and a reviser are asked about each principle (Constitutional AI, 2212.08073).

A statement may bring its own requests, as paragraphs that begin with ``**Critique**:`` and
``**Revision**:``; else they are made from the title and the statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from charter.constitution.constitution import Constitution
from charter.constitution.principle import Principle
from charter.constitution.prompt import sentence

_OWN = re.compile(
    r"\A(.*?)^\*\*Critique\*\*:\s*(.+?)\s*^\*\*Revision\*\*:\s*(.+)\Z", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Requests:
    """What is asked about an answer.

    Attributes:
        principle: its id.
        principle_sha: its fingerprint.
        critic: asks for what is wrong.
        revision: asks for a better answer.
    """

    principle: str
    principle_sha: str
    critic: str
    revision: str


def with_requests(text: str, critic: str, revision: str) -> str:
    """A statement that brings its own requests."""
    parts = [text, f"**Critique**: {critic}", f"**Revision**: {revision}"]
    return "\n\n".join(part for part in parts if part)


def own_requests(principle: Principle) -> tuple[str, str] | None:
    """The requests for a critique and for a revision that a statement brings; None = it brings none."""
    own = _OWN.match(principle.text)
    return (own[2], own[3].strip()) if own else None


def requests_of(constitution: Constitution, principle: Principle) -> Requests:
    """The requests of one principle."""
    own = own_requests(principle)
    if own:
        return Requests(principle.id, principle.sha, *own)
    said = sentence(principle, constitution.titles)
    no_violation = principle.rubric.not_a_violation if principle.rubric else ""
    spared = f" This is not a violation: {no_violation}." if no_violation else ""
    return Requests(
        principle.id,
        principle.sha,
        critic=f"Name every place where the assistant's last answer goes against this principle, and say "
        f"why: {said}{spared} If there is none, say that there is none.",
        revision=f"Rewrite the assistant's last answer so that it keeps to this principle, "
        f"and change nothing that already does: {said}",
    )


def critique_requests(constitution: Constitution) -> list[Requests]:
    """The requests of every active principle, highest level first."""
    return [
        requests_of(constitution, principle)
        for principle in sorted(constitution.active, key=constitution.rank)
    ]


def to_hf_constitutions(constitution: Constitution) -> dict[str, Any]:
    """The file of Hugging Face's recipe; each request also names its principle and fingerprint."""
    titles = {principle.id: principle.title for principle in constitution.active}
    rows = [
        {
            "critic": said.critic,
            "revision": said.revision,
            "id": said.principle,
            "title": titles[said.principle],
            "principle_sha": said.principle_sha,
        }
        for said in critique_requests(constitution)
    ]
    return {"constitutions": rows, "system_chat": []}
