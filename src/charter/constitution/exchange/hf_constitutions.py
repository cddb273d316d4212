"""Critique and revision requests as the Constitutional AI recipe of Hugging Face keeps them.

``{"constitutions": [{"critic": ..., "revision": ...}], "system_chat": [[...]]}`` (2212.08073).
Both requests stand in the principle's statement, where the export finds them again.
"""

from __future__ import annotations

from charter.constitution.exchange import escape
from charter.constitution.exchange.builder import Builder
from charter.constitution.exchange.critique_requests import with_requests
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.json_source import Item, as_item, read_value
from charter.constitution.exchange.naming import title_of
from charter.constitution.principle import Principle
from charter.errors import ConstitutionError

FORMAT = "hf-constitutions"
_KEYS = {"id", "title", "critic", "revision"}


def read_hf_constitutions(text: str, path: str, options: ImportOptions) -> Imported:
    """A constitution from critique and revision requests, each pair a principle.

    Raises:
        ConstitutionError: not such a file, or a request that is missing or empty.
    """
    builder = Builder(path, options, (options.level,))
    whole = as_item(read_value(text, path), path)
    if "constitutions" not in whole.values:
        raise ConstitutionError("no 'constitutions'", where=path, fix='write {"constitutions": [...]}')
    items = whole.objects("constitutions")
    for item in items:
        builder.add(_principle(builder, item, options.level))
    chats = whole.items("system_chat")
    if chats:
        builder.left_out(path, f"{len(chats)} few-shot conversations of system_chat: they are no principle")
    for key in sorted(whole.values.keys() - {"constitutions", "system_chat"}):
        builder.left_out(path, f"unknown key {key!r}")
    return builder.done(FORMAT, {"requests read": len(items), "system_chat conversations": len(chats)})


def _principle(builder: Builder, item: Item, level: str) -> Principle:
    critic, revision = item.text("critic", required=True), item.text("revision", required=True)
    for key in sorted(item.values.keys() - _KEYS - {"principle_sha"}):
        builder.left_out(item.where, f"unknown key {key!r}")
    title = item.text("title") or title_of(revision)
    written = [
        builder.safe(item.where, "request", said, escape.statement(said)) for said in (critic, revision)
    ]
    return Principle(
        id=builder.id_for(item.where, item.text("id"), title),
        title=builder.title(item.where, title),
        level=level,
        text=with_requests("", *written),
        line=0,
    )
