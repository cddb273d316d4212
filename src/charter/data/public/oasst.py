"""Trees of conversations (OpenAssistant, 2304.07327): siblings ranked by several people, answers rated.

A tree is a row: ``message_tree_id`` and ``prompt``, whose ``replies`` hold replies. ``rank`` counts from 0,
the best. ``labels`` is ``{name: {value, count}}``: the mean of ``count`` raters, or the same as three lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charter.data.columns import require
from charter.data.public.parts import answered, asked, item_of, label_of_row
from charter.data.public.schema import PublicRow, PublicSet
from charter.data.rows import Row
from charter.errors import DataError
from charter.label import Label
from charter.types import Message, Role

_ROLES: dict[str, Role] = {"prompter": "user", "assistant": "assistant"}
UNRANKED = "answers that nobody ranked beside each other"
REMOVED = "answers that were deleted or did not pass review"

Node = Mapping[str, Any]


def _fits(values: Mapping[str, Any]) -> bool:
    prompt = values.get("prompt")
    return "message_tree_id" in values and isinstance(prompt, Mapping) and "replies" in prompt


def _read(row: Row) -> PublicRow:
    labels: list[Label] = []
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    for path, replies in _asked_nodes(require(row, "prompt")[1], (), row.source):
        usable = [reply for reply in replies if _passed(reply)]
        left_out += [REMOVED] * (len(replies) - len(usable))
        labels += [label for reply in usable for label in _ratings(row, path, reply)]
        ranked = [reply for reply in usable if isinstance(reply.get("rank"), int)]
        if len(ranked) < 2:
            left_out += [UNRANKED] * (len(usable) > 1)
            continue
        answers = tuple(_text(reply, row.source) for reply in ranked)
        ranks = [int(reply["rank"]) + 1 for reply in ranked]
        labels.append(_ranking(row, path, ranked, answers, ranks))
        rows.append(
            {
                "id": f"{row.values['message_tree_id']}:{item_of(asked(path))}",
                "prompt": asked(path),
                "responses": [answered(text) for text in answers],
                "ranks": ranks,
            }
        )
    return PublicRow(tuple(labels), {"ranked": tuple(rows)} if rows else {}, tuple(left_out))


def _asked_nodes(
    node: Node, before: tuple[Message, ...], where: str
) -> Iterator[tuple[tuple[Message, ...], list[Node]]]:
    """Each turn of a prompter with what was replied to it."""
    role = node.get("role") if isinstance(node, Mapping) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise DataError(f"a message has the role {role!r}", where=where, fix="prompter or assistant")
    path = (*before, Message(_ROLES[role], _text(node, where)))
    replies = node.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(reply, Mapping) for reply in replies):
        raise DataError("'replies' is no list of messages", where=where)
    if role == "prompter":
        yield path, list(replies)
    for reply in replies:
        yield from _asked_nodes(reply, path, where)


def _ranking(
    row: Row, path: tuple[Message, ...], replies: list[Node], answers: tuple[str, ...], ranks: list[int]
) -> Label:
    models = tuple(str(reply.get("model_name") or "") for reply in replies)
    return label_of_row(
        row,
        "oasst",
        f"{item_of(asked(path))}:ranking",
        item=item_of(asked(path), *answers),
        rater="oasst",
        kind="ranking",
        value=ranks,
        prompt=path,
        answers=answers,
        models=models if any(models) else (),
        meta={"message_tree_id": row.values["message_tree_id"], "rater_known": False},
    )


def _ratings(row: Row, path: tuple[Message, ...], reply: Node) -> list[Label]:
    """One label for each thing that was rated; the value is the mean of ``count`` raters, and so on no scale
    that one rater had."""
    answer = _text(reply, row.source)
    return [
        label_of_row(
            row,
            "oasst",
            f"{reply.get('message_id') or item_of(asked(path), answer)}:{name}",
            item=item_of(asked(path), answer),
            rater="oasst",
            kind="rating",
            value=value,
            principle=name,
            prompt=path,
            answers=(answer,),
            meta={"mean_of_raters": count, "rater_known": False},
        )
        for name, value, count in _labels(reply, row.source)
    ]


def _labels(reply: Node, where: str) -> list[tuple[str, float, int]]:
    given = reply.get("labels")
    if not given:
        return []
    if not isinstance(given, Mapping):
        raise DataError("'labels' is no object", where=where)
    try:
        if isinstance(given.get("name"), list):  # the same as columns
            return list(zip(given["name"], given["value"], given["count"], strict=True))
        return [(name, said["value"], said["count"]) for name, said in given.items()]
    except (TypeError, KeyError, ValueError):
        raise DataError("'labels' is not {name: {value, count}}", where=where) from None


def _passed(reply: Node) -> bool:
    return (
        reply.get("role") == "assistant"
        and not reply.get("deleted")
        and reply.get("review_result") is not False
    )


def _text(node: Node, where: str) -> str:
    text = node.get("text")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"a message has the text {text!r}", where=where)
    return text


OASST = PublicSet("oasst", "ranked trees of conversations (OpenAssistant, 2304.07327)", _fits, _read)
