"""Markdown as HTML that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

LONGEST = 200_000
"""Characters; a longer text is shown plain."""


def to_html(text: str, *, breaks: bool = True) -> str:
    """``text`` rendered. Raw HTML, links and pictures stay the text they are; headings stay headings
    of the answer, below those of the page.

    Args:
        text: Markdown.
        breaks: keep line breaks, as chats do; a constitution's lines only end where they are full.
    """
    return str(_parser(breaks).render(text))


@cache
def _parser(breaks: bool) -> MarkdownIt:
    found = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": breaks})
    found.enable(["table", "strikethrough"])
    found.disable(["link", "image", "autolink", "html_inline", "html_block", "reference"])
    found.add_render_rule("heading_open", _heading)
    found.add_render_rule("heading_close", lambda *_: "</p>\n")
    for name in ("th_open", "td_open"):
        found.add_render_rule(name, _cell)
    found.add_render_rule("fence", _code)
    return found


def _heading(
    _self: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    _options: OptionsDict,
    _env: MutableMapping[str, Any],
) -> str:
    level = min(6, 3 + int(tokens[index].tag[1]))
    return f'<p class="md-h md-{tokens[index].tag}" role="heading" aria-level="{level}">'


def _cell(
    self: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: MutableMapping[str, Any],
) -> str:
    # Alignment comes as an inline style, which the page's policy refuses.
    tokens[index].attrs.pop("style", None)
    return self.renderToken(tokens, index, options, env)


def _code(
    _self: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    _options: OptionsDict,
    _env: MutableMapping[str, Any],
) -> str:
    from markdown_it.common.utils import escapeHtml

    return f'<pre tabindex="0"><code>{escapeHtml(tokens[index].content)}</code></pre>\n'
