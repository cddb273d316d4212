"""A constitution as plain text for a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from charter.constitution.principle import Principle

_FOOTNOTE = re.compile(r"\[\^\w+\]")
_LINK = re.compile(r"\[([^\]]*)\]\((#[^)\s]*|[^)]*)\)")

# A line break inside a paragraph: not a blank line, not the start of a list item.
_LINE_BREAK = re.compile(r"(?<!\n)\n(?!\s|[-*+|#]|\d+[.)])")


def plain(text: str, titles: Mapping[str, str]) -> str:
    """``text`` without footnote marks and link targets; ``[?](#id)`` becomes the title of ``id``."""

    def replace(link: re.Match[str]) -> str:
        return titles.get(link[2].removeprefix("#"), link[1]) if link[1] == "?" else link[1]

    return _LINK.sub(replace, _FOOTNOTE.sub("", text))


def system_prompt(principles: Sequence[Principle], titles: Mapping[str, str]) -> str:
    """The principles as a list, in the order given; earlier ones win."""
    lines = ["Follow these principles in every answer. Where two of them conflict, the earlier one wins.", ""]
    for principle in principles:
        title = plain(principle.title, titles).rstrip(".")
        statement = _LINE_BREAK.sub(" ", plain(principle.text, titles))
        lines.append(f"- {title}. {statement}".rstrip() if statement else f"- {title}.")
    return "\n".join(lines)
