"""Open Character Training's traits (2511.01689): a trait, and questions that bring it out.

The questions become tests: they measure the trait and are not trained on.
"""

from __future__ import annotations

from charter.constitution.cases import Case, Judge
from charter.constitution.exchange.builder import Builder
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.json_source import Item, read_objects
from charter.constitution.exchange.naming import split_title
from charter.constitution.principle import Principle
from charter.errors import ConstitutionError

FORMAT = "open-character"
_KEYS = {"trait", "questions", "additional_questions"}


def read_open_character(text: str, path: str, options: ImportOptions) -> Imported:
    """A constitution from traits; ``additional_questions`` carry the tag ``additional``.

    Raises:
        ConstitutionError: a bad line, an empty trait, a question that is no text.
    """
    builder = Builder(path, options, (options.level,))
    items = read_objects(text, path)
    questions = 0
    for item in items:
        questions += len(item.items("questions")) + len(item.items("additional_questions"))
        builder.add(_principle(builder, item, options.level))
    return builder.done(FORMAT, {"traits read": len(items), "questions read": questions})


def _principle(builder: Builder, item: Item, level: str) -> Principle:
    title, rest = split_title(item.text("trait", required=True))
    for key in sorted(item.values.keys() - _KEYS):
        builder.left_out(item.where, f"unknown key {key!r}")
    id = builder.id_for(item.where, "", title)
    return Principle(
        id=id,
        title=builder.title(item.where, title),
        level=level,
        text=builder.statement(item.where, rest),
        line=0,
        tests=tuple(_tests(builder, item, id)),
    )


def _tests(builder: Builder, item: Item, id: str) -> list[Case]:
    found: dict[str, Case] = {}
    for key, tags in (("questions", ()), ("additional_questions", ("additional",))):
        for number, question in enumerate(item.items(key), start=1):
            if not isinstance(question, str) or not question.strip():
                raise ConstitutionError(f"question {number} of {key!r} is no text", where=item.where)
            prompt = question.strip()
            if prompt in found:
                builder.left_out(item.where, f"question {prompt[:40]!r} stands there twice")
                continue
            test = Judge(id=f"{id}-{len(found) + 1}", kind="judge", tags=tags, prompt=prompt)
            found[prompt] = Case("judge", test, 0)
    return list(found.values())
