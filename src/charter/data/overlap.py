"""How much of an evaluation set the training prompts give away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Overlap:
    """Evaluation prompts that training has seen.

    Attributes:
        total: evaluation prompts.
        exact: those that are a training prompt, apart from case and punctuation.
        shared: those that share a run of ``n`` words with a training prompt, or are one.
        examples: positions of the first few shared ones.
        n: length of a run of words.
    """

    total: int
    exact: int
    shared: int
    examples: tuple[int, ...]
    n: int


def ngram_overlap(train: Iterable[str], evaluation: Sequence[str], n: int = 8) -> Overlap:
    """Compare prompts by their words and by their runs of ``n`` words."""
    whole: set[tuple[str, ...]] = set()
    runs: set[int] = set()
    for text in train:
        words = _words(text)
        whole.add(words)
        runs.update(_runs(words, n))
    exact, shared = 0, []
    for position, text in enumerate(evaluation):
        words = _words(text)
        same = bool(words) and words in whole
        exact += same
        if same or any(run in runs for run in _runs(words, n)):
            shared.append(position)
    return Overlap(len(evaluation), exact, len(shared), tuple(shared[:5]), n)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _runs(words: tuple[str, ...], n: int) -> Iterable[int]:
    """Hashes of the runs; 64 bits are enough, and a tenth of the memory of the words."""
    return (hash(words[i : i + n]) for i in range(len(words) - n + 1))
