"""A constitution as plain text for a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from charter.constitution.principle import Principle

_FOOTNOTE = re.compile(r"\[\^\w+\]")
_LINK = re.compile(r"\[([^\]]*)\]\((#[^)\s]*|[^)]*)\)")

# A line break inside a paragraph: not a blank line, not the start of a list item.
_LINE_BREAK = re.compile(r"(?<!\n)\n(?!\s|[-*+|#]|\d+[.)])")
_CODE = re.compile(r"(^```.*?^```\n?)", re.DOTALL | re.MULTILINE)


def plain(text: str, titles: Mapping[str, str]) -> str:
    """``text`` without footnote marks and link targets; ``[?](#id)`` becomes the title of ``id``."""

    def replace(link: re.Match[str]) -> str:
        return titles.get(link[2].removeprefix("#"), link[1]) if link[1] == "?" else link[1]

    return _LINK.sub(replace, _FOOTNOTE.sub("", text))


def sentence(principle: Principle, titles: Mapping[str, str]) -> str:
    """Title and statement as one paragraph; a title that only repeats the statement is left out."""
    title = plain(principle.title, titles).rstrip(".")
    statement = flowing(plain(principle.text, titles))
    repeated = title.removesuffix("\u2026")
    if statement and statement.startswith(repeated) and (title != repeated or statement.rstrip(".") == title):
        return statement
    return f"{title}. {statement}" if statement else f"{title}."


def flowing(text: str) -> str:
    """Each paragraph on one line; lists and code keep their lines."""
    parts = _CODE.split(text)
    return "".join(part if i % 2 else _LINE_BREAK.sub(" ", part) for i, part in enumerate(parts))


def system_prompt(principles: Sequence[Principle], titles: Mapping[str, str]) -> str:
    """The principles as a list, in the order given; earlier ones win."""
    lines = ["Follow these principles in every answer. Where two of them conflict, the earlier one wins.", ""]
    lines += [f"- {sentence(principle, titles)}".rstrip() for principle in principles]
    return "\n".join(lines)
