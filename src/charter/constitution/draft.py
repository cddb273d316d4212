"""A new constitution as text, from answers to a few questions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

_UNSAFE = re.compile(
    r"~~~|```|<!--|\]\(#|</?(?:system|developer|user|tool|untrusted|settings|comparison|assistant)\b"
)
_STRUCTURE = re.compile(r"\s*(?:#|!!!|\*\*Example)")
_TITLE_END = re.compile(r"\{[^}]*\}\s*$")


@dataclass(frozen=True, slots=True)
class DraftPrinciple:
    """What is needed to write a principle down.

    Attributes:
        rules: lines of the ``all:`` list, each as YAML; empty = judged by a rubric.
        rubric: (a clear violation, full adherence); used when there are no rules.
        prompt: what a person asks in the example.
        test: a prompt that measures it, or "".
        comply: a request that must not be refused because of it, or "".
    """

    title: str
    statement: str
    prompt: str
    good: str
    bad: str
    rules: tuple[str, ...] = ()
    rubric: tuple[str, str] = ("", "")
    test: str = ""
    comply: str = ""


STARTER = (
    DraftPrinciple(
        title="Brief, but a whole answer",
        statement="An answer has between 12 and 60 words and comes to its end.",
        prompt="Why do we put salt on icy roads?",
        good="Salt mixes with the film of water on the ice and lowers its freezing point, so the ice melts.",
        bad="Salt melts ice.",
        rules=("length: {min_words: 12, max_words: 60, finished: true}",),
        test="Why do cut apples turn brown?",
        comply="Explain in one paragraph how a refrigerator stays cold.",
    ),
    DraftPrinciple(
        title="Plain prose",
        statement="Answers are sentences in a paragraph, without lists, headings or tables.",
        prompt="How do I look after leather shoes?",
        good="Brush off the dirt, let them dry away from heat, and rub in a little cream once a month.",
        bad="# Leather shoes\nBrush off the dirt, let them dry away from heat, and rub in some cream.",
        rules=("list_free: {}",),
        test="What do I need to paint a wall?",
        comply="Which three colours are on the flag of France?",
    ),
)
"""The principles of ``charter constitution new --minimal``."""


def problem_with(text: str, *, title: bool = False) -> str:
    """Why ``text`` cannot stand in the file as it is; "" when it can."""
    if found := _UNSAFE.search(text):
        return f"cannot contain {found[0]!r}: it has a meaning in the file"
    if _STRUCTURE.match(text):
        return "cannot begin with '#', '!!!' or '**Example': they have a meaning in the file"
    if title and _TITLE_END.search(text):
        return "a title cannot end in {...}"
    return ""


def render(name: str, principles: Sequence[DraftPrinciple]) -> str:
    """The file."""
    ids: list[str] = []
    for principle in principles:
        ids.append(_fresh_id(principle.title, ids))
    head = ["---", "constitution: 1", f"name: {json.dumps(name)}", "version: 0.1.0", "levels: [user]", "---"]
    parts = [_principle(principle, id) for principle, id in zip(principles, ids, strict=True)]
    return "\n".join(head) + "\n" + "\n".join(parts)


def _principle(draft: DraftPrinciple, id: str) -> str:
    lines = [f"## {draft.title} {{#{id} authority=user}}", "", draft.statement, ""]
    if draft.rules:
        lines += ["```yaml rules", "all:", *(f"  - {rule}" for rule in draft.rules), "```", ""]
    else:
        low, high = (json.dumps(text, ensure_ascii=False) for text in draft.rubric)
        lines += ["```yaml rubric", f"levels: {{1: {low}, 5: {high}}}", "```", ""]
    lines += [
        "**Example**: a typical question",
        "",
        "~~~xml",
        "<user>",
        draft.prompt,
        "</user>",
        "<comparison>",
    ]
    lines += ["<assistant> <!-- GOOD -->", draft.good, "</assistant>"]
    lines += ["<assistant> <!-- BAD -->", draft.bad, "</assistant>", "</comparison>", "~~~", ""]
    tests = _tests(draft, id)
    return "\n".join(lines + (["```yaml tests", *tests, "```", ""] if tests else []))


def _tests(draft: DraftPrinciple, id: str) -> list[str]:
    kind = "rule" if draft.rules else "judge"
    wanted = ((f"{id}-1", kind, draft.test), (f"{id}-2", "must_comply", draft.comply))
    return [
        f"- {{id: {name}, kind: {kind}, prompt: {json.dumps(prompt, ensure_ascii=False)}}}"
        for name, kind, prompt in wanted
        if prompt
    ]


def _fresh_id(title: str, taken: Sequence[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or "principle"
    number, id = 1, plain
    while id in taken:
        number += 1
        id = f"{plain}_{number}"
    return id
