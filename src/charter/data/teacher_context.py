"""Groups of a policy's sample and its teacher's: the same completion, after a context the policy lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charter.catalogue.distillation import DistillationOptions
from charter.constitution import Constitution
from charter.data.formats import LoadedData
from charter.errors import ConfigError, DataError
from charter.progress import say
from charter.types import Completion, Content, Context, Group, Message, Sample

COLUMN = "privileged_context"
_FILES = (".txt", ".md")


def resolved(options: DistillationOptions, folder: Path | None = None) -> DistillationOptions:
    """The options with the text of ``teacher_context`` in place of its path, relative to ``folder``."""
    if options.teacher_context is None:
        return options
    return options.model_copy(update={"teacher_context": context_text(options.teacher_context, folder)})


def context_text(given: str, folder: Path | None = None, name: str = "teacher_context") -> str:
    """A text as it is; of a file the text; of a constitution its system prompt.

    Args:
        given: the text, or a path that ends in ``.txt`` or ``.md``.
        folder: what the path is relative to.
        name: what errors call it.

    Raises:
        ConfigError: it is empty, or names a file that cannot be read.
    """
    text = given
    if given.endswith(_FILES) and "\n" not in given:
        path = Path(given).expanduser()
        path = path if folder is None else folder / path
        if given.endswith(".constitution.md"):
            return Constitution.load(path).system_prompt()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{name} cannot be read: {error}",
                where=str(path),
                fix="a value that ends in .txt or .md names a file; write a text otherwise",
            ) from None
    if not text.strip():
        raise ConfigError(f"{name} is empty", where=None if text is given else str(path))
    return text.strip()


def with_teacher(loaded: LoadedData, options: DistillationOptions) -> LoadedData:
    """Beside every sample the same completion under the teacher's context.

    The context is the row's ``privileged_context`` column, else the options'. It becomes the
    system turn of a conversation, before the words of one that is there, or a prefix of plain text.

    Raises:
        ConfigError: neither is given.
        DataError: the column does not hold a text.
    """
    common = "" if options.teacher_context is None else context_text(options.teacher_context)
    groups = []
    for group in loaded.groups:
        context = group.meta.get(COLUMN)
        if context is not None and not isinstance(context, str):
            raise DataError(f"{COLUMN!r} is not a text", where=group.source)
        context = (context or "").strip() or common
        if not context:
            raise ConfigError(
                "the teacher has no context of its own, so there is nothing to learn from it",
                where=group.source or "teacher_context",
                fix=f"give teacher_context, or every row a {COLUMN!r} column",
            )
        groups.append(replace(group, samples=(*group.samples, *(_taught(s, context) for s in group.samples))))
    return replace(loaded, groups=tuple(groups))


def aligned(groups: Sequence[Group], options: DistillationOptions) -> Sequence[Group]:
    """Rendered groups whose two sides end, and are trained, alike.

    Where max_length cut the teacher's side, the policy's is cut to the same length.

    Raises:
        DataError: the two sides were rendered to different tokens.
    """
    kept, lost = [], 0
    for group in groups:
        half = len(group.samples) // 2
        pairs = [
            _same(*pair, group.source)
            for pair in zip(group.samples[:half], group.samples[half:], strict=True)
        ]
        if all(any(ours.completion.trained) for ours, _ in pairs):
            kept.append(replace(group, samples=(*(a for a, _ in pairs), *(b for _, b in pairs))))
        else:
            lost += 1
    if lost:
        say(f"data: {lost} dropped: no trained token left beside the teacher's context")
    if not kept:
        raise DataError(
            "the teacher's context leaves no room for any completion", fix="raise max_length, or shorten it"
        )
    return kept


def _taught(sample: Sample, context: str) -> Sample:
    return Sample(Context(put_before(context, sample.context.content)), sample.completion, role="teacher")


def put_before(context: str, content: Content) -> Content:
    """``content`` after a text: as its system turn, before the words of one there is, or as a paragraph."""
    if isinstance(content, str):
        return f"{context}\n\n{content}"
    if content and content[0].role == "system":
        return (Message("system", f"{context}\n\n{content[0].content}"), *content[1:])
    return (Message("system", context), *content)


def _same(ours: Sample, theirs: Sample, where: str) -> tuple[Sample, Sample]:
    length = min(len(ours.completion.token_ids), len(theirs.completion.token_ids))
    completion = _first(ours.completion, length)
    if completion.token_ids != theirs.completion.token_ids[:length]:
        raise DataError(
            "the chat template writes this answer differently under the teacher's context",
            where=where,
            fix="use a model whose template leaves answers as they are, or plain text rows",
        )
    return replace(ours, completion=completion), replace(theirs, completion=completion)


def _first(completion: Completion, length: int) -> Completion:
    if length == len(completion.token_ids):
        return completion
    return replace(
        completion,
        token_ids=completion.token_ids[:length],
        trained=completion.trained[:length],
        logps=completion.logps[:length],
        finish_reason="length",
    )
