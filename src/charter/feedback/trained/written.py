"""What a model writes on many questions, kept text by text, so that the same command goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from charter.data.render import Template
from charter.engines.base import Engine, Sampling
from charter.feedback.journal import KEY, JournalFile
from charter.interrupt import current
from charter.progress import progress
from charter.rundir import sha256_json
from charter.types import Content, Context

BATCH = 32
"""Questions asked together."""


class _Texts(JournalFile[tuple[str, ...]]):
    """Texts by question."""

    line = "row of sampled texts"

    def _take(self, row: Mapping[str, Any]) -> None:
        self._answers[row[KEY]] = tuple(str(text) for text in row["texts"])

    def add(self, key: str, texts: Sequence[str]) -> None:
        """Keep them."""
        self._write({KEY: key, "texts": list(texts)})
        self._answers[key] = tuple(texts)


def written_texts(
    engine: Engine,
    template: Template,
    contexts: Sequence[Context],
    n: int,
    sampling: Sampling,
    *,
    journal: Path,
    model: str,
    title: str,
) -> list[tuple[str, ...]]:
    """``n`` texts on each context, those that are in the journal from there.

    Without NUL characters, which a model may write and no data file may hold.

    Args:
        engine: writes.
        template: of its model.
        contexts: the questions.
        n: texts on each.
        sampling: how they are sampled; its seed makes them repeatable.
        journal: file of what was written.
        model: identity of the weights; texts of other weights are not taken.
        title: of the progress bar.

    Raises:
        Interrupted: the person asked to stop; finished batches are kept.
    """
    kept = _Texts(journal)
    settings = sha256_json([model, n, sampling.model_dump(mode="json")])
    keys = [sha256_json([settings, i, _plain(one.content)]) for i, one in enumerate(contexts)]
    done = sum(kept.get(key) is not None for key in keys)
    with progress(title, len(contexts), done=done) as advance:
        # Batches are cut from all questions, never from what is left, so that stopping changes nothing.
        for start in range(0, len(contexts), BATCH):
            here = range(start, min(start + BATCH, len(contexts)))
            if all(kept.get(keys[i]) is not None for i in here):
                continue
            current().check("stopped between batches", fix="run the same command again to go on")
            asked = [
                replace(contexts[i], token_ids=template.render_context(contexts[i].content)) for i in here
            ]
            for i, group in zip(here, engine.generate(asked, n, sampling), strict=True):
                if kept.get(keys[i]) is None:
                    kept.add(keys[i], [sample.completion.text.replace("\0", "") for sample in group.samples])
                    advance(1)
    return [kept.get(key) or () for key in keys]


def _plain(content: Content) -> Any:
    if isinstance(content, str):
        return content
    return [[turn.role, turn.content] for turn in content]
