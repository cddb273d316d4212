"""Which demonstrations are like a question: BM25 over all of them, then a closer look at the first few.

The two stages of ICDPO (2402.09320). BM25 (Robertson and Zaragoza 2009) with the inverse document frequency
that is never negative; the second stage compares TF-IDF vectors, or sentence embeddings where they are given.

Shapes: D documents, Q queries, V words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from charter.errors import UserError

Scores = NDArray[np.float64]

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts as unit vectors, ``(texts, width)``."""

FIRST = 20
"""Documents the first stage keeps."""

_K1, _B = 1.5, 0.75
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Lower-case words of a text, in order."""
    return _WORD.findall(text.casefold())


class Counts:
    """How often each word stands in each document.

    Args:
        texts: the documents, at least one.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        if not texts:
            raise UserError("there is nothing to retrieve from", fix="give at least one demonstration")
        listed = [words(text) for text in texts]
        self.vocabulary = {word: at for at, word in enumerate(sorted({w for one in listed for w in one}))}
        self.matrix_DV = self.of_words(listed)
        self.lengths_D = np.asarray([len(one) for one in listed], dtype=np.float64)
        self.documents_V = np.bincount(self.matrix_DV.indices, minlength=len(self.vocabulary))

    def of(self, texts: Sequence[str]) -> csr_array:
        """Counts of other texts over the same words, ``(Q, V)``; unknown words are left out."""
        return self.of_words([words(text) for text in texts])

    def of_words(self, listed: Sequence[Sequence[str]]) -> csr_array:
        """:meth:`of` of texts already split."""
        rows, columns, values = [], [], []
        for row, one in enumerate(listed):
            for word, count in Counter(one).items():
                if word in self.vocabulary:
                    rows.append(row)
                    columns.append(self.vocabulary[word])
                    values.append(float(count))
        shape = (len(listed), len(self.vocabulary))
        return csr_array((values, (rows, columns)), shape=shape, dtype=np.float64)


class Bm25:
    """BM25 scores of documents.

    Args:
        counts: of the documents.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        found = counts.matrix_DV.tocoo()
        documents = found.shape[0]
        rarity_V = np.log1p((documents - counts.documents_V + 0.5) / (counts.documents_V + 0.5))
        mean = counts.lengths_D.mean() or 1.0
        damped_D = _K1 * (1 - _B + _B * counts.lengths_D / mean)
        row, column = found.coords
        weights = rarity_V[column] * found.data * (_K1 + 1) / (found.data + damped_D[row])
        self._weights_DV = csr_array((weights, (row, column)), shape=found.shape)

    def scores(self, queries: Sequence[str]) -> Scores:
        """The higher, the more alike, ``(Q, D)``."""
        return np.asarray((self._counts.of(queries) @ self._weights_DV.T).toarray())


class TfIdf:
    """Cosine of TF-IDF vectors, smoothed as if one more document held every word.

    Args:
        counts: of the documents.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        documents = counts.matrix_DV.shape[0]
        self._rarity_V = np.log((1 + documents) / (1 + counts.documents_V)) + 1.0
        self._unit_DV = self._unit(counts.matrix_DV)

    def scores(self, queries: Sequence[str]) -> Scores:
        """In [0, 1], ``(Q, D)``; 0 where no word is shared."""
        return np.asarray((self._unit(self._counts.of(queries)) @ self._unit_DV.T).toarray())

    def _unit(self, counts: csr_array) -> csr_array:
        weighted = csr_array(counts * self._rarity_V[None, :])
        norms = np.sqrt((weighted * weighted).sum(axis=1))
        return csr_array(weighted * (1.0 / np.where(norms > 0, norms, 1.0))[:, None])


class Retriever:
    """Finds the texts most like a query, in two stages.

    Args:
        texts: what is searched.
        first: texts the first stage keeps for the second.
        embed: compares meanings in the second stage; None = TF-IDF.
    """

    def __init__(self, texts: Sequence[str], *, first: int = FIRST, embed: Embed | None = None) -> None:
        if first < 1:
            raise UserError(f"first must be at least 1, not {first}")
        counts = Counts(texts)
        self._texts = [text.split() for text in texts]
        self._first = first
        self._bm25, self._tf_idf = Bm25(counts), TfIdf(counts)
        self._embed = embed
        self._vectors = None if embed is None else embed(list(texts))

    def nearest(self, queries: Sequence[str], k: int) -> list[list[int]]:
        """For each query up to ``k`` indices of texts, the most alike first; of equals the earlier text.

        A text that is the query itself is passed over: it would give the answer away.
        """
        if k < 1:
            raise UserError(f"k must be at least 1, not {k}")
        if not queries:
            return []
        coarse, fine = self._bm25.scores(queries), self._fine(queries)
        found = []
        for row, query in enumerate(queries):
            others = [at for at, text in enumerate(self._texts) if text != query.split()]
            kept = sorted(others, key=lambda at, row=row: -coarse[row, at])[: max(self._first, k)]  # type: ignore[misc]
            found.append(sorted(kept, key=lambda at, row=row: -fine[row, at])[:k])  # type: ignore[misc]
        return found

    def _fine(self, queries: Sequence[str]) -> Scores:
        if self._embed is None or self._vectors is None:
            return self._tf_idf.scores(queries)
        return np.asarray(self._embed(list(queries)) @ self._vectors.T, dtype=np.float64)
