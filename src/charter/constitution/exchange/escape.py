"""Foreign text made safe to stand in a constitution file, changed only where it must be.

The file gives a meaning to headings, fences, ``!!!`` notes, ``**Example**`` lines, internal
links and message tags. Where foreign text holds one by chance, a backslash takes the meaning
away, as it does in Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_STRUCTURE = re.compile(r"^( {0,3})(#{1,6}(?=[ \t])|`{3,}|~{3,})", re.MULTILINE)
_LINE_START = re.compile(r"^(?=!!!|\*\*Example(?:\*\*:|:\*\*))", re.MULTILINE)
_LINK = re.compile(r"\]\(#([^)\s]*)\)")
_SPACES = re.compile(r"\s+")


def statement(text: str, ids: Collection[str] = ()) -> str:
    """``text`` as the statement of a principle; links to ``ids`` stay links."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    plain = "\n".join(lines).strip()
    safe = _LINE_START.sub(r"\\", _STRUCTURE.sub(r"\1\\\2", plain))
    return _links(safe, ids)


def one_line(text: str) -> str:
    """``text`` as a title: one line, no links."""
    return _links(_SPACES.sub(" ", text).strip(), ())


def section_title(text: str) -> str:
    """``text`` as a heading that is no principle: no attributes, no closing ``#``."""
    title = re.sub(r"\{(?=[^{}]*\}$)", r"{\\", one_line(text))
    return re.sub(r"[ \t]+#+$", "", title)


def message(text: str, speaker: str) -> str:
    """``text`` as a turn of an example."""
    return _body(text, (speaker,))


def answer(text: str) -> str:
    """``text`` as a labelled answer."""
    return _body(text, ("assistant", "comparison"))


def reason(text: str) -> str:
    """``text`` as the reason of a label."""
    return one_line(text).replace("-->", "--\\>").lstrip(":, ")


def _body(text: str, tags: tuple[str, ...]) -> str:
    for tag in tags:
        text = text.replace(f"</{tag}>", f"<\\/{tag}>")
    return text.replace("\r\n", "\n").rstrip()


def _links(text: str, ids: Collection[str]) -> str:
    return _LINK.sub(lambda found: found[0] if found[1] in ids else f"](\\#{found[1]})", text)
