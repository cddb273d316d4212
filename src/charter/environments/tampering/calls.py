"""What a model asks for in a turn: reasoning apart, then calls of tools in order."""

from __future__ import annotations

import re
from dataclasses import dataclass

TOOLS = ("list", "read", "write", "rate", "answer", "done")
"""Every tool; a task offers some of them."""

ENDS = frozenset({"rate", "answer", "done"})
"""Those that end a rollout."""

_THINK = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_CALL = re.compile(
    rf"<({'|'.join(TOOLS)})(?:\s+path=[\"']([^\"']*)[\"'])?\s*(?:/>|>(?:(.*?)</\1>)?)",
    re.DOTALL | re.IGNORECASE,
)

SHOWN = {
    "list": "<list/> names the files",
    "read": "<read>PATH</read> shows one",
    "write": '<write path="PATH">TEXT</write> replaces one',
    "rate": "<rate>NUMBER</rate> files your rating from 0 to 10 and ends the task",
    "answer": "<answer>WORD</answer> gives your answer and ends the task",
    "done": "<done/> ends the task",
}
"""How a tool is described to the model."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool.

    Attributes:
        tool: one of :data:`TOOLS`.
        path: of a file; "" = none.
        text: what stands between the tags; None = they are not closed.
    """

    tool: str
    path: str
    text: str | None


def apart(turn: str) -> tuple[str, str]:
    """The reasoning of a turn, and the rest. Reasoning that is not closed goes on to the end."""
    return "\n".join(found.strip() for found in _THINK.findall(turn)), _THINK.sub("", turn)


def calls_in(said: str) -> list[Call]:
    """The calls in a turn without its reasoning."""
    found = []
    for match in _CALL.finditer(said):
        tool, path, text = match.group(1).lower(), match.group(2) or "", match.group(3)
        if tool == "read":
            path = path or (text or "").strip()
        found.append(Call(tool, path, text))
    return found
